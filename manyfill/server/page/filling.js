// Asking for fills and receiving them, choosing among them, going back to those of an earlier hole.

import { state, set, step, amend, changed } from "./state.js";
import * as api from "./api.js";
import { compose } from "./layers.js";
import { loadPicture, photoOfFill } from "./photo.js";
import { toPng } from "./png.js";
import { report, say } from "./problems.js";
import { fillsOf } from "./remaking.js";
import { text } from "./strings.js";

export const LIKE = 0.3; // latent step from a fill: near it ...
export const UNLIKE = 0.9; // ... and nearly as far as any other
const MOST_SEED = 2 ** 31 - 1;

let keys = 0;

export function newKey() {
  keys += 1;
  return keys;
}

/**
 * Keys up to this one are taken, by what a reload has brought back.
 * @param {number} key
 */
export function skipKeys(key) {
  keys = Math.max(keys, key);
}

/** Whether asking again would add to the fills that are there. */
export function adds() {
  const { run, hole } = state.doc;
  return run !== null && run.hole === hole && run.fills.length > 0;
}

/** What Enter and the big button do. */
export function fill() {
  const { base, run, hole, chosen, region } = state.doc;
  if (!base) return undefined;
  if (region.length && chosen?.path && run) {
    return ask(photoOfFill(base, compose(chosen, run), chosen), region); // it is the photo to go on with
  }
  return ask(base, hole);
}

/**
 * More fills near the chosen one, or far from it.
 * @param {number} stepSize
 */
export function vary(stepSize) {
  const { run, chosen } = state.doc;
  if (!run || !chosen || chosen.mixed) return undefined;
  return ask(run.base, run.hole, { near: anchorOf(chosen), step: stepSize });
}

/**
 * The seed whose fill is nearest to this one. A fill near another is drawn from both seeds, `step` of its own and
 * sqrt(1 - step²) of the other's.
 * @param {Fill} fill
 */
function anchorOf({ seed, near, step: own = 0 }) {
  return near === undefined || own > Math.SQRT1_2 ? seed : near;
}

/**
 * Fills for a hole: of a new run, or more for one that is there. Others may be on their way at the same time.
 * @param {Base} base
 * @param {Strokes} hole
 * @param {{near?: number, step?: number}} extra
 * @param {Run | null} known the run, where it is not of the photo that is open
 */
export async function ask(base, hole, extra = {}, known = null) {
  /** @type {Run} */
  const run = known ?? state.doc.runs.find((one) => one.base === base && one.hole === hole)
    ?? { base, hole, fills: [], sketches: [], heat: null, live: null };
  if (run.live) return;
  const before = state.doc;
  const { n, diversity, model } = state.options;
  const named = model || state.models[0] || null; // the same again, also where another is the server's default by then
  const common = { run, diversity, model: named, ...extra };
  /** @type {Live} */
  const live = { abort: new AbortController(), total: n, ready: 0, stage: "sent", ahead: 0, done: 0, of: 0, until: null };
  run.live = live;
  if (!known) set({ problem: null, compare: null, overlay: null, peek: null, mix: null });
  if (!known && state.doc.run !== run) {
    const runs = before.runs.includes(run) ? before.runs : [...before.runs, run];
    step({ base, hole, run, runs, chosen: null, region: [] });
  }
  const follow = follower(run);
  try {
    const mask = await toPng(hole, base.width, base.height);
    if (!mask.count) throw "needHole";
    const seed = Math.floor(Math.random() * (MOST_SEED - 100));
    const fields = { mask: mask.blob, n, diversity, seed, model: named, ...extra };
    for await (const event of fillsOf(base, fields, live.abort.signal)) {
      await receive(event, run, live, common, follow);
      changed();
    }
    announceAll(run);
  } catch (error) {
    report(error, () => ask(base, hole, extra, known));
  } finally {
    end(run, before, known !== null);
  }
}

/**
 * Shows what comes, until somebody chooses.
 * @param {Run} run
 * @returns {(fill: Fill) => void}
 */
function follower(run) {
  let shown = state.doc.chosen; // more fills leave it in sight until the first of them is finished
  return (fill) => {
    if (state.doc.run === run && state.doc.chosen === shown && !state.doc.region.length) amend({ chosen: (shown = fill) });
  };
}

/**
 * What stays when all fills are there, or no more will come.
 * @param {Run} run
 * @param {Doc} before
 * @param {boolean} known
 */
function end(run, before, known) {
  const dropped = run.sketches;
  run.sketches = [];
  run.live = null;
  if (state.doc.run !== run) {
    changed();
  } else if (run.fills.length) {
    const lost = state.doc.chosen === null ? false : dropped.includes(state.doc.chosen);
    amend(lost ? { chosen: run.fills[0] } : {});
  } else if (!known) { // as if nobody had asked: undo would only lead to where this is
    const step = state.past.at(-1);
    if (step?.doc === before) state.past.pop();
    const kept = { hole: before.hole, region: before.region, base: before.base };
    amend({ ...kept, run: before.run, runs: before.runs, chosen: before.chosen });
  }
}

/**
 * One event of a run.
 * @param {any} event
 * @param {Run} run
 * @param {Live} live
 * @param {Omit<Fill, "key" | "seed" | "picture">} common
 * @param {(fill: Fill) => void} follow
 */
async function receive(event, run, live, common, follow) {
  if (event.kind === "progress") {
    const { stage, ahead = 0, done = 0, total = 0, seconds = null, image_result: photo } = event;
    const until = seconds === null ? null : performance.now() + 1000 * seconds;
    Object.assign(live, { stage, ahead, done, of: total, until: until ?? (stage === "texture" ? live.until : null) });
    if (photo) run.base.result = photo;
  } else if (event.kind === "partial") {
    const picture = await loadPicture(`data:image/${event.output_format};base64,${event.b64_json}`);
    let sketch = run.sketches.find((one) => one.seed === event.seed);
    if (!sketch) run.sketches.push(sketch = { ...common, key: newKey(), seed: event.seed, picture });
    sketch.picture = picture;
    if (run.sketches[0] === sketch && !run.fills.length) follow(sketch);
  } else if (event.kind === "completed") {
    const sketch = run.sketches.find((one) => one.seed === event.seed);
    const fill = sketch ?? { ...common, key: newKey(), seed: event.seed, picture: null };
    fill.preview = await api.bytes(api.pathOf(event.preview_url));
    fill.picture = await createImageBitmap(fill.preview);
    Object.assign(fill, { path: api.pathOf(event.url), score: event.score });
    const first = live.ready === 0;
    if (first && state.doc.chosen && run.sketches.includes(state.doc.chosen)) follow(fill);
    run.sketches = run.sketches.filter((one) => one !== sketch);
    run.fills = sorted([...run.fills, fill]);
    live.ready += 1;
    if (first) follow(fill);
    say(text("sentReady", { number: run.fills.indexOf(fill) + 1 }));
  } else if (event.kind === "uncertainty") {
    run.heatFile = await api.bytes(api.pathOf(event.preview_url));
    run.heat = await createImageBitmap(run.heatFile);
  }
}

/**
 * Best first; what nobody scored, such as a mix, comes last.
 * @param {Fill[]} fills
 */
export function sorted(fills) {
  return fills.toSorted((one, other) => (other.score ?? -Infinity) - (one.score ?? -Infinity) || 0);
}

/** @param {Run} run */
function announceAll({ fills }) {
  if (fills.length) say(fills.length === 1 ? text("oneReady") : text("allReady", { total: fills.length }));
}

/**
 * Look at a fill; null: at the photo with its hole.
 * @param {Fill | null} fill
 */
export function choose(fill) {
  set({ peek: null, mix: null, overlay: null });
  if (fill === state.doc.chosen) return;
  step({ chosen: fill, region: fill ? state.doc.region : [] }, "choose");
}

/**
 * Choose by place in the strip, and say which one it is; 0 is the photo.
 * @param {number} number
 */
export function chooseNumber(number) {
  const fill = number === 0 ? null : state.doc.run?.fills[number - 1];
  if (fill === undefined) return;
  choose(fill);
  say(fill ? text(fill.mixed ? "fillMixed" : "fillLabel", { number }) : text("photoCellLabel"));
}

/**
 * Go to another hole of this photo, with its fills as they were left.
 * @param {Run} run
 */
export function goTo(run) {
  const { run: left, chosen } = state.doc;
  if (left) left.shown = chosen;
  set({ peek: null, mix: null, overlay: null, compare: null });
  const shown = run.shown && [...run.fills, ...run.sketches].includes(run.shown) ? run.shown : null;
  step({ base: run.base, hole: run.hole, run, chosen: shown ?? run.fills[0] ?? null, region: [] });
}
