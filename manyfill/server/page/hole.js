// Strokes, and what they cover: on a small canvas for the eye, bit by bit at full size for the server.
//
// A stroke is plain data in the photo's pixels:
//   {tool: "brush" | "eraser", points: [x, y, width, x, y, width, ...]}
//   {tool: "rectangle", points: [x, y, x, y]}      {tool: "lasso", points: [x, y, x, y, ...]}
//   {tool: "mask", picture}                        an uploaded mask, opaque where it says "fill"

export const COLOUR = [124, 92, 255]; // of a hole on the screen: rare in photos

/** Draw strokes onto a context whose transform maps the photo's pixels to its own. */
export function drawStrokes(context, strokes, width, height) {
  for (const stroke of strokes) drawStroke(context, stroke, width, height);
}

export function drawStroke(context, stroke, width, height) {
  const points = stroke.points;
  context.globalCompositeOperation = stroke.tool === "eraser" ? "destination-out" : "source-over";
  if (stroke.tool === "mask") {
    context.drawImage(stroke.picture, 0, 0, width, height);
  } else if (stroke.tool === "rectangle") {
    const [left, top, right, bottom] = points;
    context.fillRect(Math.min(left, right), Math.min(top, bottom), Math.abs(right - left), Math.abs(bottom - top));
  } else if (stroke.tool === "lasso") {
    context.beginPath();
    for (let at = 0; at < points.length; at += 2) context.lineTo(points[at], points[at + 1]);
    context.fill();
  } else {
    drawLine(context, points, 0);
  }
  context.globalCompositeOperation = "source-over";
}

/** A brush line from its point number `from` on. */
export function drawLine(context, points, from) {
  context.lineCap = context.lineJoin = "round";
  if (points.length === 3) {
    context.beginPath();
    context.arc(points[0], points[1], points[2] / 2, 0, 2 * Math.PI);
    context.fill();
    return;
  }
  for (let at = Math.max(3, 3 * from); at < points.length; at += 3) {
    context.lineWidth = (points[at - 1] + points[at + 2]) / 2;
    context.beginPath();
    context.moveTo(points[at - 3], points[at - 2]);
    context.lineTo(points[at], points[at + 1]);
    context.stroke();
  }
}

/** The strokes' box {left, top, right, bottom} in the photo's pixels, eraser and all; null where there is none. */
export function boxOf(strokes, width, height) {
  const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  for (const { tool, points } of strokes) {
    if (tool === "eraser") continue;
    if (tool === "mask") return { left: 0, top: 0, right: width, bottom: height };
    const each = tool === "brush" ? 3 : 2;
    for (let at = 0; at < points.length; at += each) {
      const reach = tool === "brush" ? points[at + 2] / 2 : 0;
      box.left = Math.min(box.left, points[at] - reach);
      box.top = Math.min(box.top, points[at + 1] - reach);
      box.right = Math.max(box.right, points[at] + reach);
      box.bottom = Math.max(box.bottom, points[at + 1] + reach);
    }
  }
  return box.left < box.right ? box : null;
}

const STRIP_ROWS = 256;

/**
 * The strokes at full size as a PNG of one bit per pixel, white = fill; `count` tells how many pixels that are.
 * Drawn in strips, because a phone has no canvas of 50 megapixels.
 */
export async function toPng(strokes, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = Math.min(STRIP_ROWS, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const bytesPerRow = Math.ceil(width / 8);
  let count = 0;

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

function crc(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = CRCS[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}
