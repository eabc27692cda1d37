// Strokes as a mask for the server: a PNG of full size with one bit per pixel.

import { drawStrokes } from "./hole.js";
import { contextOf } from "./surfaces.js";

const STRIP_ROWS = 256;

/**
 * The strokes at full size as a PNG of one bit per pixel, white = fill; `count` tells how many pixels that are.
 * Drawn in strips, because a phone has no canvas of 50 megapixels.
 * @param {Stroke[]} strokes
 * @param {number} width
 * @param {number} height
 */
export async function toPng(strokes, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = Math.min(STRIP_ROWS, height);
  const context = contextOf(canvas, { willReadFrequently: true });
  const bytesPerRow = Math.ceil(width / 8);
  let count = 0;

  /** @param {number} top */
  function strip(top) {
    const rows = Math.min(STRIP_ROWS, height - top);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, canvas.height);
    context.translate(0, -top);
    drawStrokes(context, strokes, width, height);
    const pixels = context.getImageData(0, 0, width, rows).data;
    const packed = new Uint8Array(rows * (bytesPerRow + 1)); // each row begins with its filter, 0: none
    for (let y = 0, from = 3; y < rows; y += 1) {
      const start = y * (bytesPerRow + 1) + 1;
      for (let x = 0; x < width; x += 1, from += 4) {
        if (pixels[from] < 128) continue;
        packed[start + (x >> 3)] |= 128 >> (x & 7);
        count += 1;
      }
    }
    return packed;
  }

  const zipped = new CompressionStream("deflate");
  const collected = new Response(zipped.readable).arrayBuffer();
  const writer = zipped.writable.getWriter();
  for (let top = 0; top < height; top += STRIP_ROWS) await writer.write(strip(top));
  await writer.close();

  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 1); // bits; the rest is 0: grey, deflate, no interlace
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const chunks = [chunk("IHDR", new Uint8Array(header.buffer)), chunk("IDAT", new Uint8Array(await collected))];
  return { blob: new Blob([signature, ...chunks, chunk("IEND", new Uint8Array())], { type: "image/png" }), count };
}

/**
 * @param {string} name
 * @param {Uint8Array} data
 */
function chunk(name, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let at = 0; at < 4; at += 1) bytes[4 + at] = name.charCodeAt(at);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

const CRCS = Uint32Array.from({ length: 256 }, (_, number) => {
  for (let bit = 0; bit < 8; bit += 1) number = number & 1 ? 0xedb88320 ^ (number >>> 1) : number >>> 1;
  return number;
});

/** @param {Uint8Array} bytes */
export function crc(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = CRCS[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}
