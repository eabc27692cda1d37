// Strokes, and what they cover, drawn on a canvas; png.js makes a mask of them.
//
// A stroke is plain data in the photo's pixels:
//   {tool: "brush" | "eraser", points: [x, y, width, x, y, width, ...]}
//   {tool: "rectangle", points: [x, y, x, y]}      {tool: "lasso", points: [x, y, x, y, ...]}
//   {tool: "mask", picture, blob}    a mask from a file or a selection, opaque where it says "fill"; with `minus` it takes away

export const COLOUR = [124, 92, 255]; // of a hole on the screen: rare in photos

/**
 * Draw strokes onto a context whose transform maps the photo's pixels to its own.
 * @param {CanvasRenderingContext2D} context
 * @param {Stroke[]} strokes
 * @param {number} width
 * @param {number} height
 */
export function drawStrokes(context, strokes, width, height) {
  for (const stroke of strokes) drawStroke(context, stroke, width, height);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Stroke} stroke
 * @param {number} width
 * @param {number} height
 */
export function drawStroke(context, stroke, width, height) {
  const points = stroke.points;
  const away = stroke.tool === "eraser" || stroke.minus;
  context.globalCompositeOperation = away ? "destination-out" : "source-over";
  if (stroke.picture) {
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

/**
 * A brush line from its point number `from` on.
 * @param {CanvasRenderingContext2D} context
 * @param {number[]} points
 * @param {number} from
 */
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

/**
 * The strokes' box {left, top, right, bottom} in the photo's pixels, eraser and all; null where there is none.
 * @param {Stroke[]} strokes
 * @param {number} width
 * @param {number} height
 */
export function boxOf(strokes, width, height) {
  const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  for (const { tool, points, picture, minus } of strokes) {
    if (tool === "eraser" || minus) continue;
    if (picture) return { left: 0, top: 0, right: width, bottom: height };
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
