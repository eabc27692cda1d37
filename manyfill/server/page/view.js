// Which part of the photo is seen, and how large: screen = photo * scale + (x, y), in CSS pixels.

import { $ } from "./dom.js";
import { state } from "./state.js";

export const canvas = $("#canvas");
export const stage = $("#stage");

const MOST_SCALE = 16; // screen pixels per photo pixel
export const view = { scale: 1, x: 0, y: 0, fitted: true };

/** @type {(() => void)[]} */
const painters = [];
let waiting = false;

/**
 * Call these at the next frame after anything on the stage changed.
 * @param {() => void} paint
 */
export function paintWith(paint) {
  painters.push(paint);
}

/** What is on the stage is no longer what it shows. */
export function invalidate() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    for (const paint of painters) paint();
  });
}

/** @param {Size} photo */
export function fitView({ width, height }) {
  const room = Math.min(stage.clientWidth, stage.clientHeight) < 500 ? 10 : 28;
  const fit = Math.min((stage.clientWidth - 2 * room) / width, (stage.clientHeight - 2 * room) / height, 4);
  Object.assign(view, {
    scale: Math.max(fit, 0.001),
    x: (stage.clientWidth - width * fit) / 2,
    y: (stage.clientHeight - height * fit) / 2,
  });
}

export function fit() {
  view.fitted = true;
  invalidate();
}

/**
 * Zoom by a factor about a point of the screen, by default the middle.
 * @param {number} factor
 */
export function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const { base } = state.doc;
  if (!base) return;
  const least = 0.3 * Math.min(stage.clientWidth / base.width, stage.clientHeight / base.height);
  const scale = Math.min(MOST_SCALE, Math.max(least, view.scale * factor));
  const real = scale / view.scale;
  moveTo(x - (x - view.x) * real, y - (y - view.y) * real, scale);
}

/**
 * @param {number} x
 * @param {number} y
 */
export function moveTo(x, y, scale = view.scale) {
  const { base } = state.doc;
  if (!base) return;
  const margin = 60; // this much of the photo stays in sight
  Object.assign(view, {
    scale,
    fitted: false,
    x: Math.min(stage.clientWidth - margin, Math.max(margin - base.width * scale, x)),
    y: Math.min(stage.clientHeight - margin, Math.max(margin - base.height * scale, y)),
  });
  invalidate();
}

/**
 * @param {Point} screen
 * @returns {Point}
 */
export function toPhoto({ x, y }) {
  return { x: (x - view.x) / view.scale, y: (y - view.y) / view.scale };
}

/**
 * @param {MouseEvent} event
 * @returns {Point}
 */
export function toScreen(event) {
  const box = canvas.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

/** The brush's diameter in the photo's pixels. */
export function brushWidth() {
  const { width, height } = state.doc.base ?? { width: 1, height: 1 };
  return Math.max(1, state.brush * Math.max(width, height));
}
