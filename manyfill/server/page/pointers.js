// Pointers on the stage: one paints, two pinch, Space or the middle button pans, the wheel zooms.

import { state } from "./state.js";
import * as strokes from "./strokes.js";
import { canvas, invalidate, moveTo, stage, toPhoto, toScreen, view, zoom } from "./view.js";

const TAP_MILLISECONDS = 250; // a second finger this soon means pinch, not paint

/** @type {Map<number, Point>} */
const pointers = new Map();

/** @type {{x: number, y: number, pointer: number} | null} */
let pan = null;

/** @type {{x: number, y: number, distance: number} | null} */
let pinch = null;

/** @type {Point | null} */
let cursor = null; // in CSS pixels, or null: the pointer is elsewhere
let spaceHeld = false;

/**
 * Where the brush's ring belongs, in photo pixels; null: nowhere.
 * @returns {Point | null}
 */
export function ringAt() {
  if (spaceHeld || pan || pinch) return null;
  return strokes.keyCursor ?? (cursor && toPhoto(cursor));
}

canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
  if (!state.doc.base) return;
  stage.focus({ preventScroll: true });
  strokes.forgetKeyCursor();
  const at = toScreen(event);
  pointers.set(event.pointerId, at);
  canvas.setPointerCapture(event.pointerId);
  if (event.pointerType === "touch" && pointers.size === 2) {
    if (strokes.drawing && performance.now() - strokes.drawing.began > TAP_MILLISECONDS) strokes.end();
    else strokes.cancel();
    pan = null;
    pinch = spread();
  } else if (event.button === 1 || (event.button === 0 && spaceHeld)) {
    pan = { ...at, pointer: event.pointerId };
    event.preventDefault();
  } else if (event.button === 0 && pointers.size === 1) {
    strokes.begin(toPhoto(at), { pointer: event.pointerId, pressure: pressureOf(event) });
  }
  cursor = event.pointerType === "touch" ? null : at;
  showCursor();
});

canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
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
  } else if (strokes.drawing?.pointer === event.pointerId) {
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [event]) strokes.extend(toPhoto(toScreen(one)), pressureOf(one));
    strokes.paintOn();
  }
  invalidate();
});

for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (/** @type {PointerEvent} */ event) => {
    pointers.delete(event.pointerId);
    if (strokes.drawing?.pointer === event.pointerId) name === "pointerup" ? strokes.end() : strokes.cancel();
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

canvas.addEventListener("wheel", (/** @type {WheelEvent} */ event) => {
  event.preventDefault();
  const unit = [1, 24, 240][event.deltaMode] * (event.ctrlKey ? 4 : 1); // a trackpad's pinch comes in small numbers
  const { x, y } = toScreen(event);
  zoom(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * unit)) / 480), x, y);
}, { passive: false });

/** @param {PointerEvent} event */
function pressureOf(event) {
  return event.pointerType === "pen" ? event.pressure : null;
}

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

/** @param {boolean} held */
export function holdSpace(held) {
  spaceHeld = held;
  showCursor();
  invalidate();
}
