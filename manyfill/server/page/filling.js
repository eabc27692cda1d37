// Asking for fills, receiving them, choosing and mixing them. Each ends in a step that undo takes back, or in words that
// say why not; nothing that was there is lost on the way.

import { state, set, step, amend, changed } from "./state.js";
import * as api from "./api.js";
import { compose } from "./layers.js";
import { loadPicture, photoOfFill } from "./photo.js";
import { toPng } from "./png.js";
import { busyWith, say } from "./problems.js";
import { text } from "./strings.js";

export const LIKE = 0.3; // latent step from a fill: near it ...
export const UNLIKE = 0.9; // ... and nearly as far as any other
const MOST_SEED = 2 ** 31 - 1;

/** Whether asking again would add to the fills that are there. */
export function adds() {
  const { run, hole } = state.doc;
  return run !== null && run.hole === hole && run.fills.length > 0;
}

/** What Enter and the big button do. */
export function fill() {
  if (state.doc.region.length && state.doc.chosen) return refill();
  return ask(state.doc.base, state.doc.hole, adds() ? state.doc.run.fills : []);
}

/** More fills near the chosen one, or far from it. */
export function vary(stepSize) {
  const { base, run, chosen } = state.doc;
  if (!chosen || chosen.seed === null) return undefined;
  return ask(run.base ?? base, run.hole, run.fills, { near: anchorOf(chosen), step: stepSize });
}

/**
 * The seed whose fill is nearest to this one. A fill near another is drawn from both seeds, `step` of its own and
 * sqrt(1 - step²) of the other's.
 */
function anchorOf({ seed, near, step: own }) {
  return near === undefined || own > Math.SQRT1_2 ? seed : near;
}

/** Fill a part of the chosen fill again: it is the photo to go on with. */
async function refill() {
  const { base, run, chosen, region } = state.doc;
  let next = null;
  await busyWith("open", async (signal) => {
    next = photoOfFill(base, compose(chosen, run), await api.bytes(chosen.path, signal));
    next.result = run.whole ? api.nameOf(chosen.path) : null; // the server goes on from what it has
  }, refill);
  if (next) await ask(next, region, []);
}

async function ask(base, hole, earlier, extra = {}) {
  if (!base || state.busy) return;
  const again = () => ask(base, hole, earlier, extra);
  await busyWith("fill", async (signal) => {
    const mask = await toPng(hole, base.width, base.height);
    if (!mask.count) throw "needHole";
    const run = {
      whole: base.blob === base.root.blob || Boolean(base.result), // whether the server's fills are of the photo that was opened
      base, hole, fills: [...earlier], sketches: [], heat: null, total: state.options.n, begun: earlier.length, extra,
    };
    const before = state.doc;
    let follow = true; // show what comes, until somebody chooses
    let shown = null;
    const show = (fill) => {
      if (state.doc.run !== run) return;
      if (state.doc.chosen !== shown) follow = false;
      if (follow) amend({ chosen: (shown = fill) });
    };
    const { n, diversity, model } = state.options;
    const seed = Math.floor(Math.random() * (MOST_SEED - 100));
    const image = base.result ? { image_result: base.result } : { image: base.blob };
    const fields = { ...image, mask: mask.blob, n, diversity, seed, model: model || null, ...extra };
    try {
      for await (const event of api.fills(fields, signal)) {
        if (run.total === state.options.n && !run.started) {
          run.started = true;
          set({ compare: null, heat: false, peek: null });
          step({ base, hole, run, chosen: null, region: [] });
        }
        await receive(event, run, show);
        changed();
      }
      if (run.fills.length > run.begun) announceAll(run);
    } catch (error) {
      if (error.code === "result_expired") base.result = null; // trying again sends the photo
      throw error;
    } finally {
      const dropped = run.sketches;
      run.sketches = [];
      if (state.doc.run === run && dropped.includes(state.doc.chosen)) {
        amend({ chosen: run.fills[run.begun] ?? run.fills.at(-1) ?? null });
      }
      if (run.started && !run.fills.length && state.doc.run === run) amend({ run: before.run, chosen: before.chosen });
    }
  }, again);
}

async function receive(event, run, show) {
  if (event.kind === "partial") {
    const picture = await loadPicture(`data:image/${event.output_format};base64,${event.b64_json}`);
    let sketch = run.sketches.find((one) => one.seed === event.seed);
    if (!sketch) run.sketches.push(sketch = { ...run.extra, key: newKey(), seed: event.seed });
    sketch.picture = picture;
    if (run.sketches.length === 1) show(sketch);
  } else if (event.kind === "completed") {
    const sketch = run.sketches.find((one) => one.seed === event.seed);
    const fill = sketch ?? { ...run.extra, key: newKey(), seed: event.seed };
    const path = api.pathOf(event.url);
    const preview = api.pathOf(event.preview_url);
    Object.assign(fill, { path, preview, score: event.score, done: true, picture: await loadPicture(preview) });
    run.sketches = run.sketches.filter((one) => one !== sketch);
    run.fills.push(fill);
    if (run.fills.length === run.begun + 1) show(fill);
    say(text("sentReady", { number: run.fills.length }));
  } else if (event.kind === "uncertainty") {
    run.heat = await loadPicture(api.pathOf(event.preview_url));
  }
}

function announceAll(run) {
  const total = run.fills.length;
  say(total === 1 ? text("oneReady") : text("allReady", { total }));
}

let keys = 0;

export function newKey() {
  keys += 1;
  return keys;
}

export function choose(fill) {
  set({ peek: null, heat: false });
  if (fill === state.doc.chosen) return;
  step({ chosen: fill, region: fill ? state.doc.region : [] }, "choose");
}

/** The region of the chosen fill as another fill has it; the server closes the seam. */
export async function takeFrom(other) {
  const { base, run, chosen, region } = state.doc;
  await busyWith("merge", async (signal) => {
    const mask = await toPng(region, base.width, base.height);
    if (!mask.count) throw "needHole";
    const [ours, theirs] = [chosen, other].map((fill) => api.nameOf(fill.path));
    const answer = await api.merge({ image_result: ours, other_result: theirs, mask: mask.blob }, signal);
    const [path, preview] = [api.pathOf(answer.url), api.pathOf(answer.preview_url)];
    const mixed = { key: newKey(), seed: null, mixed: true, done: true, path, preview };
    mixed.picture = await loadPicture(preview);
    set({ peek: null });
    step({ run: { ...run, fills: [...run.fills, mixed] }, chosen: mixed, region: [] });
    say(text("sentReady", { number: run.fills.length + 1 }));
  }, () => takeFrom(other));
}
