// Photos as the page holds them: the file's own bytes for the server, a picture of screen size for the eye.

import { preview } from "./api.js";
import { COLOUR } from "./hole.js";
import { canvasOf, contextOf } from "./surfaces.js";

const SCREEN_SIDE = 2048; // longer side of what is drawn while painting
const { deviceMemory = 4 } = /** @type {{deviceMemory?: number}} */ (navigator); // gigabytes; some browsers do not say
export const SHARP_PIXELS = deviceMemory < 8 ? 24e6 : 60e6; // up to here the whole photo is kept for looking closely

/**
 * {blob, name, kind, width, height, picture, sharp, root}: `root` is the photo that was opened, of which this one may be
 * a fill; `sharp` has all pixels, or is null until it is worth its memory.
 * @param {Blob} blob
 * @param {string} name
 * @param {AbortSignal} [signal]
 * @returns {Promise<Base>}
 */
export async function openPhoto(blob, name, signal) {
  const whole = await createImageBitmap(blob).catch(() => null);
  if (!whole) return previewed(blob, name, signal);
  const picture = canvasOf(whole, SCREEN_SIDE);
  const { width, height } = whole;
  const keep = Math.max(width, height) > SCREEN_SIDE && width * height <= SHARP_PIXELS;
  if (!keep) whole.close();
  return opened({ blob, name, kind: await kindOf(blob), width, height, picture, sharp: keep ? whole : null });
}

/**
 * A photo that this browser cannot open, such as TIFF or HEIC, as the server shows it.
 * @param {Blob} blob
 * @param {string} name
 * @param {AbortSignal} [signal]
 */
async function previewed(blob, name, signal) {
  const { image, width, height } = await preview(blob, signal);
  const picture = canvasOf(await createImageBitmap(image), SCREEN_SIDE);
  return opened({ blob, name, kind: await kindOf(blob), width, height, picture, sharp: null });
}

/**
 * A photo that is its own root.
 * @param {Omit<Base, "root">} photo
 * @returns {Base}
 */
function opened(photo) {
  const base = /** @type {Base} */ (photo);
  base.root = base;
  return base;
}

/**
 * A fill as the photo to go on with; the server has its bytes.
 * @param {Base} base
 * @param {HTMLCanvasElement} picture
 * @param {Fill} origin
 * @returns {Base}
 */
export function photoOfFill({ name, kind, width, height, root }, picture, origin) {
  return { name, kind, width, height, root, picture, origin };
}

/**
 * A photo on a larger canvas, as the server makes it: a photo of its own, whose border repeats the edge until it is filled.
 * @param {Base} of
 * @param {Margins} by
 * @returns {Promise<Base>}
 */
export async function photoOnCanvas(of, by) {
  const { name, kind } = of.root;
  const [width, height] = [of.width + by.left + by.right, of.height + by.top + by.bottom];
  const sharp = of.origin ? of.origin.sharp : of.sharp;
  const picture = enlarged(sharp ?? of.picture, of, by, Math.min(1, SCREEN_SIDE / Math.max(width, height)));
  const keep = Math.max(width, height) > SCREEN_SIDE && width * height <= SHARP_PIXELS;
  const whole = sharp && keep ? await createImageBitmap(enlarged(sharp, of, by, 1)) : null;
  return Object.assign(opened({ name, kind, width, height, picture, sharp: whole }), { larger: { of, by } });
}

/**
 * @param {Picture} source
 * @param {Size} photo
 * @param {Margins} by
 * @param {number} share pixels of the canvas for one of the photo
 */
function enlarged(source, photo, { top, right, bottom, left }, share) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round((photo.width + left + right) * share));
  canvas.height = Math.max(1, Math.round((photo.height + top + bottom) * share));
  const context = contextOf(canvas);
  context.imageSmoothingQuality = "high";
  context.scale(canvas.width / (photo.width + left + right), canvas.height / (photo.height + top + bottom));
  const under = 2 / share; // no gap where the photo covers half a pixel of the canvas
  const across = [[0, 0, 1, left + under], [0, left, source.width, photo.width], [source.width - 1, left + photo.width - under, 1, right + under]];
  const down = [[0, 0, 1, top + under], [0, top, source.height, photo.height], [source.height - 1, top + photo.height - under, 1, bottom + under]];
  for (const [row, column] of [[0, 0], [0, 2], [2, 0], [2, 2], [0, 1], [2, 1], [1, 0], [1, 2], [1, 1]]) {
    const [[x, toX, wide, toWide], [y, toY, high, toHigh]] = [across[column], down[row]];
    context.drawImage(source, x, y, wide, high, toX, toY, toWide, toHigh);
  }
  return canvas;
}

/**
 * A picture from an address, ready to be drawn.
 * @param {string} source
 */
export async function loadPicture(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

/**
 * An uploaded mask as a stroke: opaque where it says "fill", which is where it is transparent, or white where nothing
 * is. Throws a string of strings.js where it does not fit the photo.
 * @param {Blob} blob
 * @param {number} width
 * @param {number} height
 * @returns {Promise<Stroke>}
 */
export async function maskStroke(blob, width, height) {
  const image = await createImageBitmap(blob).catch(() => { throw "maskUnreadable"; });
  if (Math.abs(image.width * height - image.height * width) > Math.max(width, height)) throw "maskShape";
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  const context = contextOf(canvas, { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, canvas.width, canvas.height);
  const pixels = data.data;
  let transparent = false;
  for (let at = 3; at < pixels.length && !transparent; at += 4) transparent = pixels[at] < 128;
  for (let at = 0; at < pixels.length; at += 4) {
    const fill = transparent ? pixels[at + 3] < 128 : pixels[at] + pixels[at + 1] + pixels[at + 2] > 382;
    [pixels[at], pixels[at + 1], pixels[at + 2]] = COLOUR;
    pixels[at + 3] = fill ? 255 : 0;
  }
  context.putImageData(data, 0, 0);
  return { tool: "mask", picture: canvas, points: [], blob };
}

/** @type {Record<string, string>} */
const MAGIC = { "\x89PNG": "png", "\xff\xd8\xff": "jpg", RIFF: "webp", BM: "bmp", "II*\0": "tif", "MM\0*": "tif" };

/** @param {Blob} blob */
async function kindOf(blob) {
  const start = String.fromCharCode(...new Uint8Array(await blob.slice(0, 12).arrayBuffer()));
  if (start.slice(4, 8) === "ftyp") return start.slice(8, 11) === "avi" ? "avif" : "heic";
  return Object.entries(MAGIC).find(([magic]) => start.startsWith(magic))?.[1] ?? "png";
}
