// Photos to try the page with, each with a hole that shows what to do: brush lines from point to point, in
// shares of the photo's width.
// Where they come from: samples/CREDITS.md.

export const SAMPLES = [
  { name: "farm", width: 0.08, lines: [[0.483, 0.19, 0.483, 0.4], [0.537, 0.2, 0.537, 0.4]] },
  { name: "beach", width: 0.06, lines: [[0.53, 0.322, 0.562, 0.322]] },
  { name: "canyon", width: 0.09, lines: [[0.66, 0.1, 0.76, 0.13]] },
  { name: "clouds", width: 0.1, lines: [[0.54, 0.17, 0.5, 0.29]] },
];

/**
 * A sample's hole as strokes: see hole.js.
 * @param {{width: number, lines: number[][]}} sample
 * @param {Size} photo
 * @returns {Strokes}
 */
export function strokesOf({ width, lines }, photo) {
  return lines.map((line) => ({
    tool: "brush",
    points: [0, 2].flatMap((at) => [line[at], line[at + 1], width].map((share) => share * photo.width)),
  }));
}
