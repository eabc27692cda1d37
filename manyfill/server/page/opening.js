// Photos and masks come in: from a file, a drop, the clipboard, or the samples.

import { $ } from "./dom.js";
import { state, set, step, EMPTY } from "./state.js";
import * as api from "./api.js";
import { toPng } from "./png.js";
import { maskStroke, openPhoto } from "./photo.js";
import { busyWith, note, report, say } from "./problems.js";
import { SAMPLES, strokesOf } from "./samples.js";
import { text } from "./strings.js";
import { pickedTool } from "./strokes.js";

/**
 * Open a photo; the one before it is an undo away, and what is filled there goes on.
 * @param {Blob} blob
 * @param {string} name
 * @param {{strokes?: ((photo: Size) => Strokes) | null}} how with a hole that is painted already
 */
export async function open(blob, name, { strokes = null } = {}) {
  await busyWith("open", async (signal) => {
    const base = await openBase(blob, name, signal);
    set({ compare: null, overlay: null, peek: null, mix: null });
    step({ ...EMPTY, base, hole: strokes ? Object.assign(strokes(base), { suggested: true }) : [] });
    say(text("opened", base));
    setTimeout(() => { // when it is to be seen
      $("#stage").focus({ preventScroll: true });
      const { invites } = pickedTool();
      if (invites && !state.doc.hole.length && !$("#hint").checkVisibility()) note(text(invites)); // where its panel takes the hint's place
    });
  }, () => open(blob, name, { strokes }));
}

/**
 * A photo that the server will take.
 * @param {Blob} blob
 * @param {string} name
 * @param {AbortSignal} [signal]
 */
export async function openBase(blob, name, signal) {
  checkBytes(blob);
  const base = await openPhoto(blob, name, signal).catch((error) => {
    throw error.code === "invalid_image_file" ? "photoUnreadable" : error;
  });
  const limit = state.server?.limits.pixels;
  if (limit && base.width * base.height > limit) {
    throw tooMuch("too_many_pixels", base.width * base.height, limit, 1e6);
  }
  return base;
}

/** @param {Blob} blob */
function checkBytes(blob) {
  const limit = state.server?.limits.body_bytes;
  if (limit && blob.size > limit) throw tooMuch("too_many_bytes", blob.size, limit, 2 ** 20);
}

/**
 * @param {string} code
 * @param {number} size
 * @param {number} limit
 * @param {number} unit
 */
function tooMuch(code, size, limit, unit) {
  const shown = (/** @type {number} */ value, /** @type {(x: number) => number} */ round) => String(round(value / unit * 10) / 10);
  const values = { size: shown(size, Math.ceil), limit: shown(limit, Math.floor) };
  return Object.assign(new api.Problem("", { code }), { values });
}

/** @param {string} name */
export async function openSample(name) {
  const sample = SAMPLES.find((one) => one.name === name);
  const response = await fetch(`samples/${name}.jpg`).catch(() => null);
  if (!sample || !response?.ok) {
    report(new api.Problem("", { code: "no_connection" }), () => openSample(name));
    return;
  }
  await open(await response.blob(), `${name}.jpg`, { strokes: (photo) => strokesOf(sample, photo) });
}

/** @param {Blob} blob */
export async function openMask(blob) {
  const { base, hole } = state.doc;
  if (!base) return;
  try {
    const stroke = await maskStroke(blob, base.width, base.height);
    if (!(await toPng([stroke], base.width, base.height)).count) throw "maskEmpty";
    step({ chosen: null, region: [], hole: [...hole, stroke] });
  } catch (error) {
    report(error);
  }
}

/** Forget what is painted: the region on a fill, or the hole. */
export function clear() {
  const which = state.doc.chosen ? "region" : "hole";
  if (state.doc[which].length) step({ [which]: [] });
}
