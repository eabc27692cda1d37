// What people do: open, paint on, fill, choose, mix, download. Each ends in a step that undo takes back, or in words
// that say why not; nothing that was there is lost on the way.

import { state, set, step, amend, changed, EMPTY } from "./state.js";
import * as api from "./api.js";
import { toPng } from "./hole.js";
import { loadPicture, maskStroke, openPhoto, photoOfFill } from "./photo.js";
import { compose } from "./stage.js";
import { SAMPLES, strokesOf } from "./samples.js";
import { knows, text } from "./strings.js";

export const LIKE = 0.3; // latent step from a fill: near it ...
export const UNLIKE = 0.9; // ... and nearly as far as any other
const MOST_SEED = 2 ** 31 - 1;

/** Say something to those who cannot see it happen. */
export function say(words) {
  document.querySelector("#live").textContent = words;
}

// ── problems ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** An error in plain words. */
export function wordsOf(error) {
  if (typeof error === "string") return text(knows(error) ? error : `error.${error}`);
  const key = `error.${error.code}`;
  if (knows(key)) return text(key, { message: error.message, ...error.values });
  return error instanceof api.Problem && error.message ? error.message : text("error.unknown");
}

function report(error, retry = null) {
  if (error?.name === "AbortError") {
    say(text("stopped"));
    return;
  }
  if (!(error instanceof api.Problem) && typeof error !== "string") console.error(error);
  if (error?.status === 401) {
    askToken(retry);
    return;
  }
  set({ problem: { message: wordsOf(error), retry } });
}

/** Do one thing that the server has to be asked for; a second one waits until the first is done or stopped. */
async function busyWith(kind, work, retry = null) {
  if (state.busy) return;
  const abort = new AbortController();
  set({ busy: { kind, abort }, problem: null });
  try {
    await work(abort.signal);
  } catch (error) {
    report(error, retry);
  } finally {
    set({ busy: null });
  }
}

export function stop() {
  state.busy?.abort.abort();
}

// ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Learn what the server can do; ask for the token where it wants one. */
export async function connect() {
  try {
    const server = await api.health();
    set({ server });
    if (server.status === "failed") throw new api.Problem(server.reason, { code: "model_not_loaded" });
    set({ models: await api.models() });
  } catch (error) {
    report(error, connect);
  }
}

function askToken(retry) {
  const dialog = document.querySelector("#tokenDialog");
  const field = dialog.querySelector("input");
  dialog.querySelector("[data-wrong]").hidden = state.token === null;
  dialog.onclose = () => {
    if (!field.value.trim()) return;
    set({ token: field.value.trim() });
    sessionStorage.setItem("manyfill.token", state.token);
    field.value = "";
    (retry ?? connect)();
  };
  if (!dialog.open) dialog.showModal();
}

// ── photos ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Open a photo; the one before it is an undo away. */
export async function open(blob, name, { strokes = null } = {}) {
  await busyWith("open", async (signal) => {
    checkBytes(blob);
    const base = await openPhoto(blob, name, signal).catch((error) => {
      throw error.code === "invalid_image_file" ? "photoUnreadable" : error;
    });
    const limit = state.server?.limits.pixels;
    if (limit && base.width * base.height > limit) {
      throw tooMuch("too_many_pixels", base.width * base.height, limit, 1e6);
    }
    set({ compare: null, heat: false, peek: null });
    step({ ...EMPTY, base, hole: strokes ? Object.assign(strokes(base), { suggested: true }) : [] });
    say(text("opened", base));
  }, () => open(blob, name, { strokes }));
}

function checkBytes(blob) {
  const limit = state.server?.limits.body_bytes;
  if (limit && blob.size > limit) throw tooMuch("too_many_bytes", blob.size, limit, 2 ** 20);
}

function tooMuch(code, size, limit, unit) {
  const shown = (value, round) => String(round(value / unit * 10) / 10);
  const values = { size: shown(size, Math.ceil), limit: shown(limit, Math.floor) };
  return Object.assign(new api.Problem("", { code }), { values });
}

export async function openSample(name) {
  const sample = SAMPLES.find((one) => one.name === name);
  const response = await fetch(`samples/${name}.jpg`).catch(() => null);
  if (!response?.ok) {
    report(new api.Problem("", { code: "no_connection" }), () => openSample(name));
    return;
  }
  await open(await response.blob(), `${name}.jpg`, { strokes: (photo) => strokesOf(sample, photo) });
}

export async function openMask(blob) {
  const { base, hole } = state.doc;
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

// ── fills ────────────────────────────────────────────────────────────────────────────────────────────────────────────

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

// ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Save the chosen fill at full size, with the photo's metadata: the server's bytes, not the screen's. "png" as it is;
 * "same" pastes it into the photo as it was opened, so that a JPEG is compressed once, whatever was done before.
 */
export async function download(format = "same") {
  const { base, run, chosen } = state.doc;
  if (!chosen?.path) {
    report("needFill");
    return;
  }
  await busyWith("save", async (signal) => {
    const { root } = base;
    const same = format === "same" && root.kind !== "png";
    let blob = await api.bytes(same && run?.whole ? `${chosen.path}?format=same` : chosen.path, signal);
    if (same && !run?.whole) { // a fill of a fill that was sent as PNG: it goes into the photo as it was opened
      const everything = { tool: "rectangle", points: [0, 0, root.width, root.height] };
      const mask = (await toPng([everything], root.width, root.height)).blob;
      const answer = await api.merge({ image: root.blob, other: blob, mask, output_format: "same" }, signal);
      blob = await api.bytes(api.pathOf(answer.url), signal);
    }
    const name = fileName(root, format);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    say(text("saved", { name }));
  }, () => download(format));
}

function fileName(root, format) {
  const [, stem, suffix] = /^(.*?)(?:\.(\w+))?$/.exec(root.name);
  return `${stem || "photo"}_filled.${format === "png" ? "png" : suffix ?? root.kind}`;
}

