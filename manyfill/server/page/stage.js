// The photo on its canvas: what is drawn, how it is zoomed and panned, and how strokes come about.

import { state, set, step, changed, shownFill } from "./state.js";
import { COLOUR, boxOf, drawLine, drawStroke, drawStrokes } from "./hole.js";
import { SHARP_PIXELS } from "./photo.js";
import { bytes } from "./api.js";

const canvas = document.querySelector("#canvas");
const stage = document.querySelector("#stage");
const handle = document.querySelector("#handle");
const context = canvas.getContext("2d");

const MOST_SCALE = 16; // screen pixels per photo pixel
const MOST_SHARP = 3; // fills that are kept with all of their pixels, 48 MB each of 12 megapixels
const TAP_MILLISECONDS = 250; // a second finger this soon means pinch, not paint
const PULSE_MILLISECONDS = 80; // the hole breathes while it is filled; the server may need this computer's cores
const view = { scale: 1, x: 0, y: 0, fitted: true }; // screen = photo * scale + (x, y), CSS pixels

let seen = {}; // what the last drawing was of
let drawing = null; // the stroke under way: {stroke, drawn, pointer, began}
let pan = null; // {x, y, pointer}
let pinch = null; // {distance, x, y}
let cursor = null; // {x, y} in CSS pixels, or null: the pointer is elsewhere
let keyCursor = null; // {x, y} in photo pixels, while painting by keyboard
let spaceHeld = false;
let waiting = false;
const pointers = new Map();

// ── what is drawn ────────────────────────────────────────────────────────────────────────────────────────────────────

/** A canvas of the screen's size for strokes, kept up with a list of them. */
class Layer {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.strokes = null;
  }

  follow(strokes, photo) {
    if (this.strokes === strokes && this.photo === photo) return;
    const longer = this.photo === photo && this.strokes && strokes.length === this.strokes.length + 1
      && this.strokes.every((stroke, index) => stroke === strokes[index]);
    if (!longer) {
      this.canvas.width = photo.picture.width;
      this.canvas.height = photo.picture.height;
    }
    const layer = this.scaled(photo);
    drawStrokes(layer, longer ? strokes.slice(-1) : strokes, photo.width, photo.height);
    Object.assign(this, { strokes, photo });
  }

  scaled(photo) {
    const layer = this.canvas.getContext("2d");
    const share = photo.picture.width / photo.width;
    layer.setTransform(share, 0, 0, share, 0, 0);
    layer.fillStyle = layer.strokeStyle = `rgb(${COLOUR})`;
    return layer;
  }
}

const layer = new Layer();
const composed = new WeakMap(); // fill → canvas; made again when its picture gets better

/** A fill over its photo at screen size: only the hole is taken from it, so that nothing else flickers. */
export function compose(fill, run) {
  const kept = composed.get(fill);
  if (kept?.of === fill.picture) return kept.canvas;
  const { picture, width, height } = run.base;
  const patch = document.createElement("canvas");
  const whole = document.createElement("canvas");
  patch.width = whole.width = picture.width;
  patch.height = whole.height = picture.height;
  const on = patch.getContext("2d");
  on.scale(picture.width / width, picture.height / height);
  drawStrokes(on, run.hole, width, height);
  const onWhole = whole.getContext("2d");
  onWhole.drawImage(picture, 0, 0);
  onWhole.globalCompositeOperation = "destination-out";
  onWhole.drawImage(patch, 0, 0);
  on.setTransform(1, 0, 0, 1, 0, 0);
  on.globalCompositeOperation = "source-in";
  on.imageSmoothingQuality = "high";
  on.drawImage(fill.picture, 0, 0, picture.width, picture.height);
  onWhole.globalCompositeOperation = "lighter"; // soft edges of both add up to one
  onWhole.drawImage(patch, 0, 0);
  composed.set(fill, { of: fill.picture, canvas: whole });
  return whole;
}

/** Whether strokes go to the hole or to a region of the chosen fill. */
export function edited() {
  return state.doc.chosen ? "region" : "hole";
}

export function invalidate() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}

function draw() {
  const { base, run } = state.doc;
  const ratio = devicePixelRatio || 1;
  const { clientWidth, clientHeight } = stage;
  const [width, height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  if (!base || !clientWidth) return;
  if (view.fitted) fitView();

  const fill = shownFill();
  const pixel = view.scale * ratio;
  context.setTransform(pixel, 0, 0, pixel, view.x * ratio, view.y * ratio);
  context.imageSmoothingEnabled = view.scale < 3;
  const put = (picture) => context.drawImage(picture, 0, 0, base.width, base.height);
  const close = pixel * base.width > 1.2 * base.picture.width;

  if (!fill?.picture) {
    put(close && base.sharp ? base.sharp : base.picture);
  } else {
    put(close && fill.sharp ? fill.sharp : compose(fill, run));
    if (close && !fill.sharp) sharpen(fill, base);
  }
  if (state.heat && run?.heat && !state.original) put(run.heat);
  if (state.compare !== null && fill?.picture && !state.heat) {
    context.save();
    context.beginPath();
    context.rect(0, 0, base.width * state.compare, base.height);
    context.clip();
    put(close && base.root.sharp ? base.root.sharp : base.root.picture);
    context.restore();
  }
  drawMarks(fill, ratio);
}

/** The hole or region being painted, the hole being filled, and the brush's ring. */
function drawMarks(fill, ratio) {
  const { base, run } = state.doc;
  const strokes = state.doc[edited()];
  if (!state.original && !state.peek && !state.heat) {
    layer.follow(strokes, base);
    const filling = state.busy?.kind === "fill" && !fill;
    context.globalAlpha = fill ? 0.42 : filling ? 0.45 + 0.2 * Math.sin(performance.now() / 260) : 0.6;
    context.drawImage(layer.canvas, 0, 0, base.width, base.height);
    context.globalAlpha = 1;
    if (filling && !matchMedia("(prefers-reduced-motion: reduce)").matches) setTimeout(invalidate, PULSE_MILLISECONDS);
  }
  if (drawing && ["rectangle", "lasso"].includes(drawing.stroke.tool)) {
    context.globalAlpha = 0.35;
    context.fillStyle = `rgb(${COLOUR})`;
    drawStroke(context, drawing.stroke, base.width, base.height);
    context.globalAlpha = 1;
    outline(drawing.stroke);
  }
  const at = keyCursor ?? (cursor && toPhoto(cursor));
  if (at && !spaceHeld && !pan && !pinch) ring(at, ratio);
}

function outline({ tool, points }) {
  context.beginPath();
  if (tool === "rectangle") context.rect(points[0], points[1], points[2] - points[0], points[3] - points[1]);
  else for (let at = 0; at < points.length; at += 2) context.lineTo(points[at], points[at + 1]);
  for (const [style, dash] of [["rgb(0 0 0 / .55)", []], ["white", [5, 5]]]) {
    context.strokeStyle = style;
    context.setLineDash(dash.map((length) => length / view.scale));
    context.lineWidth = 1.5 / view.scale;
    context.stroke();
  }
  context.setLineDash([]);
}

function ring({ x, y }) {
  const brush = ["brush", "eraser"].includes(state.tool);
  const radius = brush ? brushWidth() / 2 : 4 / view.scale;
  for (const [style, width] of [["rgb(0 0 0 / .5)", 3], ["white", 1.5]]) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.strokeStyle = style;
    context.lineWidth = width / view.scale;
    context.stroke();
  }
}

const sharpened = []; // fills whose pixels are all here, the latest last
let sharpening = 0; // fills whose pixels are on the way: what is seen will change by itself

/**
 * Looking closely at a fill: fetch all of its pixels, decoded once and for all, away from the thread that draws. Those
 * of a few fills are kept, for going to and fro between them.
 */
async function sharpen(fill, base) {
  if (fill.sharp !== undefined || !fill.path || base.width * base.height > SHARP_PIXELS) return;
  fill.sharp = null; // once
  canvas.setAttribute("aria-busy", (sharpening += 1) > 0);
  fill.sharp = await bytes(fill.path).then((blob) => createImageBitmap(blob)).catch(() => null);
  canvas.setAttribute("aria-busy", (sharpening -= 1) > 0);
  if (fill.sharp) sharpened.push(fill);
  while (sharpened.length > MOST_SHARP) {
    const earlier = sharpened.shift();
    earlier.sharp.close();
    delete earlier.sharp;
  }
  invalidate();
}

export function brushWidth() {
  const { width, height } = state.doc.base;
  return Math.max(1, state.brush * Math.max(width, height));
}

// ── zoom and pan ─────────────────────────────────────────────────────────────────────────────────────────────────────

function fitView() {
  const { width, height } = state.doc.base;
  const room = Math.min(stage.clientWidth, stage.clientHeight) < 500 ? 10 : 28;
  const fit = Math.min((stage.clientWidth - 2 * room) / width, (stage.clientHeight - 2 * room) / height, 4);
  Object.assign(view, {
    scale: Math.max(fit, 0.001),
    x: (stage.clientWidth - width * fit) / 2,
    y: (stage.clientHeight - height * fit) / 2,
  });
  placeHandle();
}

export function fit() {
  view.fitted = true;
  invalidate();
}

/** Zoom by a factor about a point of the screen, by default the middle. */
export function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const { base } = state.doc;
  if (!base) return;
  const least = 0.3 * Math.min(stage.clientWidth / base.width, stage.clientHeight / base.height);
  const scale = Math.min(MOST_SCALE, Math.max(least, view.scale * factor));
  const real = scale / view.scale;
  moveTo(x - (x - view.x) * real, y - (y - view.y) * real, scale);
}

function moveTo(x, y, scale = view.scale) {
  const { width, height } = state.doc.base;
  const margin = 60; // this much of the photo stays in sight
  Object.assign(view, {
    scale,
    fitted: false,
    x: Math.min(stage.clientWidth - margin, Math.max(margin - width * scale, x)),
    y: Math.min(stage.clientHeight - margin, Math.max(margin - height * scale, y)),
  });
  placeHandle();
  invalidate();
}

function toPhoto({ x, y }) {
  return { x: (x - view.x) / view.scale, y: (y - view.y) / view.scale };
}

function toScreen(event) {
  const box = canvas.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

// ── strokes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function begin(at, { pointer = null, pressure = null } = {}) {
  const tool = state.tool;
  const points = { rectangle: [at.x, at.y, at.x, at.y], lasso: [at.x, at.y] }[tool] ?? [at.x, at.y, widthAt(pressure)];
  layer.follow(state.doc[edited()], state.doc.base);
  drawing = { stroke: { tool, points }, drawn: 0, pointer, began: performance.now() };
  paintOn();
}

function extend(at, pressure = null) {
  const { tool, points } = drawing.stroke;
  if (tool === "rectangle") points.splice(2, 2, at.x, at.y);
  else if (tool === "lasso") points.push(at.x, at.y);
  else if (Math.hypot(at.x - points.at(-3), at.y - points.at(-2)) > 0.3 / view.scale) {
    points.push(at.x, at.y, widthAt(pressure));
  }
}

/** Draw what the line under way has gained since the last frame. */
function paintOn() {
  const { stroke, drawn } = drawing;
  if (["brush", "eraser"].includes(stroke.tool)) {
    const on = layer.scaled(state.doc.base);
    on.globalCompositeOperation = stroke.tool === "eraser" ? "destination-out" : "source-over";
    drawLine(on, stroke.points, drawn);
    on.globalCompositeOperation = "source-over";
    drawing.drawn = stroke.points.length / 3;
  }
  invalidate();
}

function end() {
  const { stroke } = drawing;
  const which = edited();
  drawing = null;
  const [left, top, right, bottom] = stroke.points;
  const empty = (stroke.tool === "rectangle" && (left === right || top === bottom))
    || (stroke.tool === "lasso" && stroke.points.length < 6)
    || (stroke.tool === "eraser" && !state.doc[which].length);
  if (!empty) {
    stroke.points = stroke.points.map((value) => Math.round(value * 10) / 10);
    const strokes = [...state.doc[which], stroke];
    if (["brush", "eraser"].includes(stroke.tool)) layer.strokes = strokes; // it is there already
    step({ [which]: strokes });
  }
  set({ penDown: false });
  invalidate();
}

function cancel() {
  if (!drawing) return;
  drawing = null;
  layer.strokes = null;
  set({ penDown: false });
  invalidate();
}

function widthAt(pressure) {
  return brushWidth() * (pressure === null ? 1 : 0.35 + 0.65 * pressure);
}

// ── pointers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

canvas.addEventListener("pointerdown", (event) => {
  if (!state.doc.base) return;
  stage.focus({ preventScroll: true });
  keyCursor = null;
  const at = toScreen(event);
  pointers.set(event.pointerId, at);
  canvas.setPointerCapture(event.pointerId);
  if (event.pointerType === "touch" && pointers.size === 2) {
    if (drawing && performance.now() - drawing.began > TAP_MILLISECONDS) end();
    else cancel();
    pan = null;
    pinch = spread();
  } else if (event.button === 1 || (event.button === 0 && spaceHeld)) {
    pan = { ...at, pointer: event.pointerId };
    event.preventDefault();
  } else if (event.button === 0 && pointers.size === 1) {
    begin(toPhoto(at), { pointer: event.pointerId, pressure: event.pointerType === "pen" ? event.pressure : null });
  }
  cursor = event.pointerType === "touch" ? null : at;
  showCursor();
});

canvas.addEventListener("pointermove", (event) => {
  const at = toScreen(event);
  cursor = event.pointerType === "touch" ? null : at;
  if (pointers.has(event.pointerId)) pointers.set(event.pointerId, at);
  if (pinch && pointers.size === 2) {
    const now = spread();
    zoom(now.distance / pinch.distance, now.x, now.y);
    moveTo(view.x + now.x - pinch.x, view.y + now.y - pinch.y);
    pinch = now;
  } else if (pan?.pointer === event.pointerId) {
    moveTo(view.x + at.x - pan.x, view.y + at.y - pan.y);
    Object.assign(pan, at);
  } else if (drawing?.pointer === event.pointerId) {
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [event]) {
      extend(toPhoto(toScreen(one)), one.pointerType === "pen" ? one.pressure : null);
    }
    paintOn();
  }
  invalidate();
});

for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    pointers.delete(event.pointerId);
    if (drawing?.pointer === event.pointerId) name === "pointerup" ? end() : cancel();
    if (pan?.pointer === event.pointerId) pan = null;
    if (pointers.size < 2) pinch = null;
    showCursor();
    invalidate();
  });
}

canvas.addEventListener("pointerleave", () => {
  cursor = null;
  invalidate();
});

canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const unit = [1, 24, 240][event.deltaMode] * (event.ctrlKey ? 4 : 1); // a trackpad's pinch comes in small numbers
  const { x, y } = toScreen(event);
  zoom(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * unit)) / 480), x, y);
}, { passive: false });

function spread() {
  const [one, other] = [...pointers.values()];
  return {
    distance: Math.max(1, Math.hypot(one.x - other.x, one.y - other.y)),
    x: (one.x + other.x) / 2,
    y: (one.y + other.y) / 2,
  };
}

function showCursor() {
  canvas.style.cursor = pan ? "grabbing" : spaceHeld ? "grab" : "none";
}

export function holdSpace(held) {
  spaceHeld = held;
  showCursor();
  invalidate();
}

// ── keyboard ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Arrow keys move a brush; with the pen down it paints. Returns whether the key was one of them. */
export function arrow(key, { far = false } = {}) {
  if (!ARROWS[key] || !state.doc.base) return false;
  const { width, height } = state.doc.base;
  const reach = Math.max(width, height) * (far ? 0.06 : 0.015);
  const [x, y] = ARROWS[key];
  const from = keyCursor ?? { x: width / 2, y: height / 2 };
  keyCursor = {
    x: Math.min(width, Math.max(0, from.x + x * reach)),
    y: Math.min(height, Math.max(0, from.y + y * reach)),
  };
  if (drawing) {
    extend(keyCursor);
    paintOn();
  }
  invalidate();
  return true;
}

/** Put the pen down where the arrow keys have brought it, or lift it. */
export function togglePen() {
  if (!state.doc.base) return;
  if (drawing) {
    end();
    return;
  }
  keyCursor ??= { x: state.doc.base.width / 2, y: state.doc.base.height / 2 };
  begin(keyCursor);
  set({ penDown: true });
}

/** Leave a stroke unfinished. Returns whether there was one. */
export function dropStroke() {
  const had = drawing !== null;
  cancel();
  keyCursor = had ? keyCursor : null;
  invalidate();
  return had;
}

// ── the before/after slider ──────────────────────────────────────────────────────────────────────────────────────────

function placeHandle() {
  const { base } = state.doc;
  if (!base || state.compare === null) return;
  const left = view.x + state.compare * base.width * view.scale;
  handle.style.left = `${Math.min(stage.clientWidth, Math.max(0, left))}px`;
  handle.setAttribute("aria-valuenow", Math.round(100 * state.compare));
}

function compareAt(share) {
  set({ compare: Math.min(1, Math.max(0, share)) });
}

handle.addEventListener("pointerdown", (event) => {
  handle.setPointerCapture(event.pointerId);
  event.stopPropagation();
});
handle.addEventListener("pointermove", (event) => {
  if (!handle.hasPointerCapture(event.pointerId)) return;
  compareAt((toScreen(event).x - view.x) / (state.doc.base.width * view.scale));
});
handle.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
  if (by === undefined) return;
  compareAt(state.compare + by);
  event.preventDefault();
  event.stopPropagation();
});

// ── following the state ──────────────────────────────────────────────────────────────────────────────────────────────

/** A part of a composed picture around the hole, for a thumbnail of this shape. */
export function cropAround(strokes, photo, shape) {
  const { width, height } = photo;
  const box = boxOf(strokes, width, height) ?? { left: 0, top: 0, right: width, bottom: height };
  const least = 0.2 * Math.max(width, height);
  let wide = Math.max(1.35 * (box.right - box.left), least);
  let high = Math.max(1.35 * (box.bottom - box.top), least / shape);
  if (wide / high < shape) wide = high * shape;
  else high = wide / shape;
  const shrink = Math.min(1, width / wide, height / high);
  [wide, high] = [wide * shrink, high * shrink];
  const left = Math.min(width - wide, Math.max(0, (box.left + box.right - wide) / 2));
  const top = Math.min(height - high, Math.max(0, (box.top + box.bottom - high) / 2));
  return { left, top, width: wide, height: high };
}

export function renderStage() {
  const { base } = state.doc;
  if (seen.root !== base?.root) view.fitted = true;
  seen = { root: base?.root };
  handle.hidden = state.compare === null || !shownFill();
  placeHandle();
  invalidate();
}

new ResizeObserver(() => invalidate()).observe(stage);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => changed());
