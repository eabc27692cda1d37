// Where a fill is copied from: arrows from the places in the photo to where their pixels went.

import * as api from "./api.js";
import { busyWith } from "./problems.js";
import { withFills } from "./remaking.js";
import { changed } from "./state.js";

const APART = 24; // CSS pixels between heads of arrows

/**
 * Draw a fill's arrows, in the photo's pixels; they are asked for when they are first wanted.
 * @param {CanvasRenderingContext2D} context
 * @param {Fill} fill
 * @param {number} scale
 */
export function drawOrigins(context, fill, scale) {
  if (fill.origins === undefined) load(fill);
  if (!fill.origins) return;
  /** @type {Origins["arrows"]} */
  const apart = []; // on the screen; more are seen when the photo is larger
  for (const arrow of fill.origins.arrows) {
    if (apart.every(([x, y]) => Math.hypot(arrow[0] - x, arrow[1] - y) * scale > APART)) apart.push(arrow);
  }
  for (const [style, width] of /** @type {[string, number][]} */ ([["rgb(0 0 0 / .55)", 4], ["#ffd54a", 2]])) {
    context.strokeStyle = context.fillStyle = style;
    context.lineWidth = width / scale;
    for (const [x, y, fromX, fromY] of apart) {
      const angle = Math.atan2(y - fromY, x - fromX);
      const head = Math.min(9 / scale, Math.hypot(x - fromX, y - fromY) / 2);
      context.beginPath();
      context.arc(fromX, fromY, (width + 2) / 2 / scale, 0, 2 * Math.PI);
      context.fill();
      context.beginPath();
      context.moveTo(fromX, fromY);
      context.lineTo(x, y);
      for (const side of [-0.5, 0.5]) {
        context.moveTo(x, y);
        context.lineTo(x - head * Math.cos(angle + side), y - head * Math.sin(angle + side));
      }
      context.stroke();
    }
  }
}

/** @param {Fill} fill */
async function load(fill) {
  fill.origins = null;
  await busyWith("remake", async (signal) => {
    fill.origins = await withFills([fill], () => api.origins(fill.path ?? "", signal), signal);
  });
  if (!fill.origins) delete fill.origins;
  changed();
}
