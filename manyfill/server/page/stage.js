// What is drawn on the canvas: the photo or a fill of it, what is painted, and the marks of pointer and tool.

import { state, changed, shownFill } from "./state.js";
import { COLOUR, drawStroke } from "./hole.js";
import { compose, composeMix, edgeOf, sharpen } from "./layers.js";
import { drawOrigins } from "./origins.js";
import { ringAt } from "./pointers.js";
import { contextOf } from "./surfaces.js";
import { drawing, edited, layer, pickedTool } from "./strokes.js";
import { brushWidth, canvas, fitView, invalidate, paintWith, stage, view } from "./view.js";

const PULSE_MILLISECONDS = 80; // the hole breathes while it is filled; the server may need this computer's cores
const context = contextOf(canvas);

/** @type {Base | undefined} */
let root; // of what the last drawing was

paintWith(draw);

function draw() {
  const { base, run } = state.doc;
  const ratio = devicePixelRatio || 1;
  const { clientWidth, clientHeight } = stage;
  const [width, height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  if (!base || !clientWidth) return;
  if (view.fitted) fitView(base);

  const fill = shownFill();
  const pixel = view.scale * ratio;
  context.setTransform(pixel, 0, 0, pixel, view.x * ratio, view.y * ratio);
  context.imageSmoothingEnabled = view.scale < 3;
  const put = (/** @type {Picture} */ picture) => context.drawImage(picture, 0, 0, base.width, base.height);
  const close = pixel * base.width > 1.2 * base.picture.width;
  const whole = base.origin ? base.origin.sharp : base.sharp;

  if (!fill?.picture || !run) {
    put(close && whole ? whole : base.picture);
  } else if (state.mix && state.mix !== fill && !state.original) {
    put(composeMix(fill, state.mix, state.doc.region, run));
  } else {
    put(close && fill.sharp ? fill.sharp : compose(fill, run));
    if (close && !fill.sharp) sharpen(fill, base);
  }
  if (state.overlay === "heat" && run?.heat && !state.original) put(run.heat);
  if (state.compare !== null && fill?.picture && state.overlay !== "heat") {
    context.save();
    context.beginPath();
    context.rect(0, 0, base.width * state.compare, base.height);
    context.clip();
    put(close && base.root.sharp ? base.root.sharp : base.root.picture);
    context.restore();
  }
  drawMarks(fill, base);
}

/**
 * The hole or region being painted, the hole being filled, and the brush's ring.
 * @param {Fill | null} fill
 * @param {Base} base
 */
function drawMarks(fill, base) {
  const { run } = state.doc;
  const strokes = state.doc[edited()];
  const tool = pickedTool();
  if (!state.original && !state.peek && !state.mix && !state.overlay) {
    layer.follow(strokes, base);
    const filling = run?.live && run.hole === strokes && !fill;
    context.globalAlpha = fill ? 0.42 : filling ? 0.45 + 0.2 * Math.sin(performance.now() / 260) : 0.6;
    context.drawImage(layer.canvas, 0, 0, base.width, base.height);
    context.globalAlpha = 1;
    if (filling && !matchMedia("(prefers-reduced-motion: reduce)").matches) setTimeout(invalidate, PULSE_MILLISECONDS);
    if (fill && run && ringAt()) context.drawImage(edgeOf(run.hole, run.base), 0, 0, base.width, base.height); // what was filled
    tool.draw?.(context, view.scale);
  }
  if (drawing && !drawing.tool.live) {
    context.globalAlpha = 0.35;
    context.fillStyle = `rgb(${COLOUR})`;
    drawStroke(context, drawing.stroke, base.width, base.height);
    context.globalAlpha = 1;
    outline(drawing.stroke);
  }
  if (state.overlay === "origins" && fill && fill === state.doc.chosen) drawOrigins(context, fill, view.scale);
  const middle = { x: (stage.clientWidth / 2 - view.x) / view.scale, y: (stage.clientHeight / 2 - view.y) / view.scale };
  const at = state.sizing ? middle : ringAt();
  if (at) ring(at, tool);
}

/** @param {Stroke} stroke */
function outline({ tool, points }) {
  context.beginPath();
  if (tool === "rectangle") context.rect(points[0], points[1], points[2] - points[0], points[3] - points[1]);
  else for (let at = 0; at < points.length; at += 2) context.lineTo(points[at], points[at + 1]);
  for (const [style, dash] of /** @type {[string, number[]][]} */ ([["rgb(0 0 0 / .55)", []], ["white", [5, 5]]])) {
    context.strokeStyle = style;
    context.setLineDash(dash.map((length) => length / view.scale));
    context.lineWidth = 1.5 / view.scale;
    context.stroke();
  }
  context.setLineDash([]);
}

/**
 * @param {Point} at
 * @param {Tool} tool
 */
function ring({ x, y }, tool) {
  const radius = tool.sized ? brushWidth() / 2 : 4 / view.scale;
  for (const [style, width] of /** @type {[string, number][]} */ ([["rgb(0 0 0 / .5)", 3], ["white", 1.5]])) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.strokeStyle = style;
    context.lineWidth = width / view.scale;
    context.stroke();
  }
}

export function renderStage() {
  const now = state.doc.base?.root;
  if (root !== now) view.fitted = true;
  root = now;
  invalidate();
}

new ResizeObserver(() => invalidate()).observe(stage);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => changed());
