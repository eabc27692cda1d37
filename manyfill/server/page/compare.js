// The before/after slider.

import { $ } from "./dom.js";
import { state, set, shownFill } from "./state.js";
import { paintWith, stage, toScreen, view } from "./view.js";

const handle = $("#handle");

export function toggleCompare() {
  if (shownFill()) set({ compare: state.compare === null ? 0.5 : null, overlay: null });
}

/** @param {number} share */
function compareAt(share) {
  set({ compare: Math.min(1, Math.max(0, share)) });
}

paintWith(() => {
  const { base } = state.doc;
  handle.hidden = state.compare === null || !shownFill();
  if (!base || state.compare === null) return;
  const left = view.x + state.compare * base.width * view.scale;
  handle.style.left = `${Math.min(stage.clientWidth, Math.max(0, left))}px`;
  handle.setAttribute("aria-valuenow", Math.round(100 * state.compare));
});

handle.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
  handle.setPointerCapture(event.pointerId);
  event.stopPropagation();
});
handle.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
  if (!handle.hasPointerCapture(event.pointerId) || !state.doc.base) return;
  compareAt((toScreen(event).x - view.x) / (state.doc.base.width * view.scale));
});
handle.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  const by = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
  if (by === undefined || state.compare === null) return;
  compareAt(state.compare + by);
  event.preventDefault();
  event.stopPropagation();
});
