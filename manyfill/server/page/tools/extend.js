// Extend: a larger canvas, by handles on its edges or by its shape. The server makes it, a photo of its own that takes
// the place of the one before, which is an undo away; its border is painted as the hole.

import { element } from "../dom.js";
import { COLOUR } from "../hole.js";
import { compose } from "../layers.js";
import { photoOfFill, photoOnCanvas } from "../photo.js";
import { toPng } from "../png.js";
import { busyWith, note } from "../problems.js";
import { canvasOn } from "../remaking.js";
import { changed, doing, EMPTY, set, state, step } from "../state.js";
import { text } from "../strings.js";
import { pick, pickedTool } from "../strokes.js";
import { contextOf } from "../surfaces.js";
import { register } from "../tools.js";
import { fit, invalidate, paintWith, stage, toPhoto, toScreen, view } from "../view.js";

const REACH = 22; // pixels of the screen from an edge within which it is taken hold of
const MOST = 3; // times the photo's own side that one side can be enlarged by
const TAKEN = 0.72; // of the stage, by the canvas: what is left is for dragging
const SHAPES = ["1:1", "4:3", "3:2", "16:9", "9:16"];
/** @type {Side[]} */
const SIDES = ["top", "right", "bottom", "left"];
/** @type {Record<string, Partial<Record<Side, number>>>} */
const ARROWS = { // what a key does to each side, in steps
  ArrowUp: { top: 1, bottom: -1, left: 1, right: 1 }, ArrowDown: { top: -1, bottom: 1, left: -1, right: -1 },
  ArrowLeft: { left: 1, right: -1, top: -1, bottom: -1 }, ArrowRight: { left: -1, right: 1, top: 1, bottom: 1 },
};

/** The photo that is to be enlarged and by how much; another photo begins at none. @type {{of: Base | null, by: Margins, shape: string | null}} */
let wanted = { of: null, by: none(), shape: null };
/** @type {Side[]} */
let held = [];

/** @returns {Margins} */
function none() {
  return { top: 0, right: 0, bottom: 0, left: 0 };
}

function margins() {
  if (wanted.of !== state.doc.base) wanted = { of: state.doc.base, by: none(), shape: null };
  return wanted.by;
}

/** @returns {Size} of the canvas */
function size() {
  const { top, right, bottom, left } = margins();
  const { width, height } = /** @type {Base} */ (state.doc.base);
  return { width: width + left + right, height: height + top + bottom };
}

function grows() {
  return SIDES.some((side) => margins()[side] > 0);
}

/** The server's limit in million pixels, where the canvas is larger than that; else null. */
function tooLarge() {
  const { width, height } = size();
  const limit = state.server?.limits.pixels ?? Infinity;
  return width * height > limit ? Math.floor(limit / 1e4) / 100 : null;
}

/** @param {Side} side */
function most(side) {
  const { width, height } = /** @type {Base} */ (state.doc.base);
  return MOST * (side === "top" || side === "bottom" ? height : width);
}

/**
 * @param {Side} side
 * @param {number} pixels
 */
function enlarge(side, pixels) {
  margins()[side] = Math.min(most(side), Math.max(0, Math.round(pixels)));
  wanted.shape = null;
  changed();
}

/**
 * As much larger as makes this shape, on both sides alike.
 * @param {string} shape
 */
function shapeTo(shape) {
  margins();
  const { width, height } = /** @type {Base} */ (state.doc.base);
  const [across, down] = shape.split(":").map(Number);
  const wider = Math.max(0, Math.round(height * across / down) - width);
  const higher = Math.max(0, Math.round(width * down / across) - height);
  const [left, top] = [Math.floor(wider / 2), Math.floor(higher / 2)];
  Object.assign(wanted, { by: { top, right: wider - left, bottom: higher - top, left }, shape });
  frame();
  changed();
}

/** Nothing larger. Returns whether something was. */
function reset() {
  const had = grows();
  wanted = { of: state.doc.base, by: none(), shape: null };
  changed();
  return had;
}

// ── applied ─────────────────────────────────────────────────────────────────────────────────────────────────────────

async function apply() {
  const { base, chosen, run, hole } = state.doc;
  const by = margins();
  if (!base || !grows() || tooLarge() !== null) return;
  const from = chosen?.path && run ? photoOfFill(base, compose(chosen, run), chosen) : base;
  await busyWith("open", async (signal) => {
    const result = await canvasOn(from, by, signal);
    const larger = Object.assign(await photoOnCanvas(from, by), { result });
    const painted = from.origin || hole.suggested ? [] : await Promise.all(hole.map((stroke) => moved(stroke, from, larger, by)));
    if (signal.aborted || state.doc.base !== base) return;
    set({ compare: null, overlay: null, peek: null, mix: null });
    step({ ...EMPTY, base: larger, hole: [...painted, ...border(larger, by)] });
    pick("brush");
    note(text("extended", larger));
    stage.focus({ preventScroll: true });
  }, apply);
}

/**
 * The border as strokes, to the pixel.
 * @param {Size} canvas
 * @param {Margins} by
 * @returns {Stroke[]}
 */
function border({ width, height }, { top, right, bottom, left }) {
  const sides = [[0, 0, width, top], [width - right, 0, width, height], [0, height - bottom, width, height], [0, 0, left, height]];
  return sides.filter(([x, y, endX, endY]) => x < endX && y < endY).map((points) => ({ tool: "rectangle", points }));
}

/**
 * What was painted on the photo, at its place on the larger canvas.
 * @param {Stroke} stroke
 * @param {Size} photo
 * @param {Size} canvas
 * @param {Margins} by
 * @returns {Promise<Stroke>}
 */
async function moved(stroke, photo, { width, height }, { left, top }) {
  const each = stroke.tool === "brush" || stroke.tool === "eraser" ? 3 : 2;
  const points = stroke.points.map((value, at) => value + ([left, top][at % each] ?? 0));
  if (!stroke.picture) return { ...stroke, points };
  const [across, down] = [stroke.picture.width / photo.width, stroke.picture.height / photo.height];
  const picture = document.createElement("canvas");
  picture.width = Math.round(width * across);
  picture.height = Math.round(height * down);
  contextOf(picture).drawImage(stroke.picture, Math.round(left * across), Math.round(top * down));
  const { blob } = await toPng([{ tool: "mask", points, picture }], width, height);
  return { ...stroke, points, picture, blob };
}

// ── on the stage ────────────────────────────────────────────────────────────────────────────────────────────────────

/** All of the canvas is seen, with room to drag. @param {boolean} always also where it is seen already */
function frame(always = false) {
  if (!state.doc.base) return;
  const { left, top } = margins();
  const { width, height } = size();
  const { clientWidth, clientHeight } = stage;
  const [x, y] = [view.x - left * view.scale, view.y - top * view.scale];
  const seen = x > REACH && y > REACH && x + width * view.scale < clientWidth - REACH && y + height * view.scale < clientHeight - REACH;
  if (seen && !always) return;
  const scale = Math.min(TAKEN * clientWidth / width, TAKEN * clientHeight / height, 4);
  Object.assign(view, {
    scale, fitted: false,
    x: (clientWidth - width * scale) / 2 + left * scale, y: (clientHeight - height * scale) / 2 + top * scale,
  });
  invalidate();
}

/** Where the canvas' edges are, in the photo's pixels. */
function edges() {
  const { top, right, bottom, left } = margins();
  const { width, height } = /** @type {Base} */ (state.doc.base);
  return { top: -top, right: width + right, bottom: height + bottom, left: -left };
}

/** @param {Point} at @returns {Side[]} the edges that a pointer takes hold of there; two at a corner */
function edgesAt(at) {
  const { top, right, bottom, left } = edges();
  const reach = REACH / view.scale;
  if (at.x < left - reach || at.x > right + reach || at.y < top - reach || at.y > bottom + reach) return [];
  /** @type {Side} */
  const across = Math.abs(at.x - left) < Math.abs(at.x - right) ? "left" : "right";
  /** @type {Side} */
  const down = Math.abs(at.y - top) < Math.abs(at.y - bottom) ? "top" : "bottom";
  const near = { left: at.x - left, right: at.x - right, top: at.y - top, bottom: at.y - bottom };
  return [across, down].filter((side) => Math.abs(near[side]) <= reach);
}

/**
 * @param {Side} side
 * @param {Point} at
 */
function drag(side, { x, y }) {
  const { width, height } = /** @type {Base} */ (state.doc.base);
  enlarge(side, { top: -y, right: x - width, bottom: y - height, left: -x }[side]);
}

/**
 * The new border, dashed around.
 * @param {CanvasRenderingContext2D} context
 * @param {number} scale
 */
function draw(context, scale) {
  const { base } = state.doc;
  if (!base) return;
  const { left, top } = edges();
  const { width, height } = size();
  context.beginPath();
  context.rect(left, top, width, height);
  context.rect(0, 0, base.width, base.height);
  context.fillStyle = `rgb(${COLOUR}, .28)`;
  context.fill("evenodd");
  context.beginPath();
  context.rect(left, top, width, height);
  for (const [style, dash] of /** @type {[string, number[]][]} */ ([["rgb(0 0 0 / .55)", []], ["white", [6, 6]]])) {
    context.strokeStyle = style;
    context.setLineDash(dash.map((length) => length / scale));
    context.lineWidth = 2 / scale;
    context.stroke();
  }
  context.setLineDash([]);
}

const handles = SIDES.map((side) => {
  const handle = element("div", { className: "edge", tabIndex: 0 }, element("i"));
  Object.assign(handle.dataset, { side });
  handle.setAttribute("role", "slider");
  handle.setAttribute("aria-valuemin", "0");
  handle.setAttribute("aria-orientation", side === "left" || side === "right" ? "horizontal" : "vertical");
  handle.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    handle.setPointerCapture(event.pointerId);
    handle.focus({ preventScroll: true });
    event.preventDefault();
  });
  handle.addEventListener("pointermove", (event) => {
    if (handle.hasPointerCapture(event.pointerId) && state.doc.base) drag(side, toPhoto(toScreen(event)));
  });
  handle.addEventListener("lostpointercapture", () => frame());
  handle.addEventListener("keydown", (event) => {
    const by = { ...ARROWS[event.key], ...(event.key === "Home" && { [side]: -Infinity }) }[side];
    if (by === undefined || !state.doc.base) return;
    const unit = event.shiftKey ? 1 : Math.max(1, Math.round(Math.max(state.doc.base.width, state.doc.base.height) / 100));
    enlarge(side, margins()[side] + by * unit);
    frame();
    event.preventDefault();
    event.stopPropagation();
  });
  return handle;
});

/** The handles stand in the middle of the edges, and never out of sight. */
paintWith(() => {
  const { base } = state.doc;
  const shown = base !== null && pickedTool().name === "extend" && !doing("open");
  if (!shown) {
    for (const handle of handles) handle.remove();
    return;
  }
  if (!handles[0].isConnected) stage.append(...handles);
  const { top, right, bottom, left } = edges();
  const places = { top: [(left + right) / 2, top], right: [right, (top + bottom) / 2], bottom: [(left + right) / 2, bottom], left: [left, (top + bottom) / 2] };
  SIDES.forEach((side, at) => {
    const [x, y] = places[side];
    const inside = (/** @type {number} */ value, /** @type {number} */ end) => Math.min(end - REACH / 2, Math.max(REACH / 2, value));
    handles[at].style.left = `${inside(view.x + x * view.scale, stage.clientWidth)}px`;
    handles[at].style.top = `${inside(view.y + y * view.scale, stage.clientHeight)}px`;
    handles[at].setAttribute("aria-label", text(`extend.${side}`));
    handles[at].setAttribute("aria-valuenow", String(margins()[side]));
    handles[at].setAttribute("aria-valuemax", String(most(side)));
    handles[at].setAttribute("aria-valuetext", text("extendBy", { pixels: margins()[side] }));
  });
});

// ── beside the hint ─────────────────────────────────────────────────────────────────────────────────────────────────

const shapes = SHAPES.map((shape) => {
  const button = element("button", { type: "button", textContent: shape });
  button.dataset.shape = shape;
  button.addEventListener("click", () => shapeTo(shape));
  return button;
});
const sizes = element("output");
const applied = element("button", { type: "button", className: "main", id: "extendApply" });
const cancelled = element("button", { type: "button", id: "extendCancel" });
const panel = element("div", { className: "bar", id: "extending" }, ...shapes, sizes, applied, cancelled);
applied.addEventListener("click", () => apply());
cancelled.addEventListener("click", () => {
  reset();
  pick("brush");
});

function show() {
  const { width, height } = size();
  const limit = tooLarge();
  shapes.forEach((button, at) => {
    button.setAttribute("aria-pressed", String(wanted.shape === SHAPES[at]));
    button.title = text("extendShape", { shape: SHAPES[at] });
  });
  sizes.textContent = limit !== null ? text("extendLimit", { width, height, limit }) : text("extendSize", { width, height });
  applied.textContent = text("extendApply");
  applied.disabled = !grows() || limit !== null || doing("open");
  cancelled.textContent = text("extendCancel");
  return panel;
}

register({
  name: "extend",
  key: "x",
  hint: "extendHint",
  icon: '<path d="M8 8h8v8H8zM12 5V2.5m-1.500 1.500L12 2.500 13.500 4M12 19v2.500M10.500 20l1.500 1.500 1.500-1.500M5 12H2.500M4 10.500 2.500 12 4 13.500M19 12h2.500M20 10.500l1.500 1.500-1.500 1.500"/>',
  words: {
    en: {
      extend: "Extend the canvas",
      extendHint: "Drag an edge, or pick a shape",
      extendShape: "As much larger as makes it {shape}, width to height",
      extendSize: "{width} × {height} px", extendLimit: "{width} × {height} px: over {limit} million",
      extendApply: "Extend", extendCancel: "Cancel",
      extendBy: "{pixels} pixels more",
      "extend.top": "Upper edge", "extend.right": "Right edge", "extend.bottom": "Lower edge", "extend.left": "Left edge",
      extended: "The canvas is {width} by {height} pixels. Press Fill to fill its border.",
    },
    zh: {
      extend: "扩展画布",
      extendHint: "拖动边缘，或选择比例",
      extendShape: "扩展到 {shape}（宽比高）",
      extendSize: "{width} × {height} 像素", extendLimit: "{width} × {height} 像素：超过 {limit} 百万",
      extendApply: "扩展", extendCancel: "取消",
      extendBy: "增加 {pixels} 像素",
      "extend.top": "上边缘", "extend.right": "右边缘", "extend.bottom": "下边缘", "extend.left": "左边缘",
      extended: "画布现为 {width} × {height} 像素。点“填充”来填满边缘。",
    },
  },
  begin(at) {
    held = edgesAt(at);
    return { tool: "extend", points: [] };
  },
  extend(_, at) {
    for (const side of held) drag(side, at);
  },
  done: () => frame(),
  draw,
  panel: show,
  start: () => frame(true),
  leave() {
    reset();
    fit();
  },
  enter() {
    if (!grows()) return false;
    apply();
    return true;
  },
  escape: reset,
});
