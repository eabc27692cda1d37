// What is open survives a reload and a crash: photos, holes, fills and their order, undo, options, in the browser's own
// database under a key of this tab alone. Files lie beside the record, each written once. What tabs that are gone have
// left is thrown away after a day.

import { newKey, skipKeys } from "./filling.js";
import { compose } from "./layers.js";
import { maskStroke, openPhoto, photoOfFill, photoOnCanvas } from "./photo.js";
import { EMPTY, set, state, subscribe } from "./state.js";
import { TOOLS } from "./tools.js";

const DAY = 24 * 3600 * 1000;
const DELAY = 250; // milliseconds after the last change
const MOST_STEPS = 60; // of undo that are kept

let tab = "";
/** @type {IDBDatabase} */
let database;
let timer = 0;
let changes = 0; // of the state, counted: what is on the disk is of one of these numbers
let files = 0;

/**
 * @template Result
 * @param {IDBRequest<Result>} request
 * @returns {Promise<Result>}
 */
function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @param {IDBTransactionMode} mode */
function store(mode) {
  return database.transaction("tabs", mode).objectStore("tabs");
}

/** Bring back what this tab had open; then keep it. Where there is no database nothing is kept. */
export async function startKeeping() {
  const known = sessionStorage.getItem("manyfill.tab");
  const copied = sessionStorage.getItem("manyfill.open") !== null; // a tab that was duplicated, or ended without a word
  tab = known && !copied ? known : String(Math.random()).slice(2);
  claim();
  try {
    const opening = indexedDB.open("manyfill", 2);
    opening.onupgradeneeded = () => {
      for (const name of opening.result.objectStoreNames) opening.result.deleteObjectStore(name);
      opening.result.createObjectStore("tabs");
    };
    database = await done(opening);
    if (known && known !== tab) await duplicate(known);
    await restore();
    await forgetOld();
  } catch (error) {
    console.warn("nothing is kept for a reload:", error);
  }
  if (!database) return;
  subscribe(() => {
    changes += 1;
    document.body.dataset.kept = "false";
    clearTimeout(timer);
    timer = window.setTimeout(keep, DELAY);
  });
  addEventListener("pagehide", () => {
    if (timer) keep(); // a reload right after the last change
    sessionStorage.removeItem("manyfill.open");
  });
  addEventListener("pageshow", (event) => event.persisted && claim());
}

function claim() {
  sessionStorage.setItem("manyfill.tab", tab);
  sessionStorage.setItem("manyfill.open", "1");
}

/**
 * Take a copy of what another tab has open: this one is its duplicate, and goes its own way.
 * @param {string} other
 */
async function duplicate(other) {
  const keys = (await done(store("readonly").getAllKeys())).map(String);
  for (const key of keys.filter((one) => one.startsWith(`${other}/`))) {
    const value = await done(store("readonly").get(key));
    await done(store("readwrite").put(value, key.replace(other, tab)));
  }
}

// ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Write what is open, as it is now. Transactions on one store are carried out in the order in which they are made, and
 * whole or not at all, so that the latest state is what stays, whichever of them is told first to be done.
 */
function keep() {
  clearTimeout(timer);
  timer = 0;
  const kept = changes;
  const transaction = database.transaction("tabs", "readwrite");
  const tabs = transaction.objectStore("tabs");
  /** @type {Map<string, Blob>} */
  const fresh = new Map();
  /** @type {Map<object, any>} what was made of each thing: what is shared stays shared in the record */
  const made = new Map();

  /**
   * @template {object} Thing
   * @param {Thing | null | undefined} thing
   * @param {(plain: any, thing: Thing) => void} write
   */
  const once = (thing, write) => {
    if (!thing) return null;
    let plain = made.get(thing);
    if (!plain) {
      made.set(thing, (plain = Array.isArray(thing) ? [] : {}));
      write(plain, thing);
    }
    return plain;
  };
  const file = (/** @type {any} */ owner, /** @type {string} */ name, /** @type {Blob | undefined} */ blob) => {
    if (!blob) return null;
    if (!owner[name]) fresh.set(owner[name] = `${Date.now()}.${files += 1}`, blob);
    return owner[name];
  };
  const strokes = (/** @type {Strokes} */ list) => once(list, (plain) => {
    for (const stroke of list) plain.push(once(stroke, (one, { tool, points, blob, minus }) => Object.assign(one, { tool, points, blob, minus })));
    if (list.suggested) plain.suggested = true;
  });
  const base = (/** @type {Base | null} */ photo) => once(photo, (plain, { name, kind, width, height, origin, root, result, larger }) => {
    Object.assign(plain, { name, kind, width, height, result, file: file(photo, "kept", photo?.blob) });
    plain.root = root === photo ? null : base(root);
    plain.origin = fill(origin);
    if (larger) plain.larger = { of: base(larger.of), by: larger.by };
  });
  const fill = (/** @type {Fill | null | undefined} */ one) => once(one, (plain, { seed, diversity, model, near, step, mixed, path, score, preview, run: of }) => {
    Object.assign(plain, { seed, diversity, model, near, step, path, score, file: file(one, "kept", preview), run: run(of) });
    if (mixed) plain.mixed = { ours: fill(mixed.ours), theirs: fill(mixed.theirs), region: strokes(mixed.region) };
  });
  const run = (/** @type {Run | null} */ one) => once(one, (plain, { base: photo, hole, fills, heatFile, shown }) => {
    Object.assign(plain, { base: base(photo), hole: strokes(hole), heat: file(one, "keptHeat", heatFile) });
    plain.fills = fills.map(fill);
    plain.shown = shown && fills.includes(shown) ? fill(shown) : null;
  });
  const doc = (/** @type {Doc} */ one) => once(one, (plain, { base: photo, hole, run: current, runs, chosen, region }) => {
    const finished = chosen?.path ? chosen : null;
    Object.assign(plain, {
      base: base(photo), hole: strokes(hole), run: run(current), runs: runs.map(run), chosen: fill(finished), region: strokes(region),
    });
  });
  const steps = (/** @type {{doc: Doc, join: string | null}[]} */ list) => (
    list.slice(-MOST_STEPS).map((one) => ({ join: one.join, doc: doc(one.doc) })));

  const album = state.album.map((entry) => {
    const { past, future, doc: own, ...plain } = entry.key === state.at ? { ...entry, doc: state.doc, past: state.past, future: state.future } : entry;
    const blob = own?.base || !plain.blob ? null : file(entry, "kept", plain.blob);
    return { key: plain.key, name: plain.name, file: blob, doc: own && doc(own), past: steps(past), future: steps(future) };
  });
  const { options, tool, brush, at } = state;
  const record = { when: Date.now(), doc: doc(state.doc), past: steps(state.past), future: steps(state.future), album, at, options, tool, brush };
  for (const [name, blob] of fresh) tabs.put(blob, `${tab}/file/${name}`);
  tabs.put(record, `${tab}/doc`);
  transaction.oncomplete = () => {
    if (kept === changes) document.body.dataset.kept = "true"; // for whoever waits with closing
  };
  transaction.onabort = () => console.warn("not kept for a reload:", transaction.error);
  transaction.commit();
}

// ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

async function restore() {
  const record = await done(store("readonly").get(`${tab}/doc`));
  if (!record) return;
  /** @type {Map<object, Promise<any>>} */
  const read = new Map();

  /**
   * @param {any} plain
   * @param {(plain: any) => Promise<any>} make
   */
  const once = (plain, make) => {
    if (!plain) return null;
    if (!read.has(plain)) read.set(plain, make(plain));
    return read.get(plain);
  };
  const used = new Set([`${tab}/doc`]);
  const file = (/** @type {string} */ name) => {
    used.add(`${tab}/file/${name}`);
    return done(store("readonly").get(`${tab}/file/${name}`));
  };
  const strokes = (/** @type {any} */ list, /** @type {Size} */ photo) => once(list, async () => {
    const all = await Promise.all(list.map((/** @type {any} */ stroke) => once(stroke, async () => (stroke.blob
      ? { ...(await maskStroke(stroke.blob, photo.width, photo.height)), tool: stroke.tool, minus: stroke.minus }
      : { tool: stroke.tool, points: stroke.points }))));
    return Object.assign(all, list.suggested && { suggested: true });
  });
  /** @type {(plain: any) => Promise<any>} */
  const base = async (plain) => once(plain, async () => {
    if (plain.origin) {
      const origin = await fill(plain.origin);
      return photoOfFill(await base(plain.root), compose(origin, origin.run), origin);
    }
    if (plain.larger) return Object.assign(await photoOnCanvas(await base(plain.larger.of), plain.larger.by), { result: plain.result });
    const photo = await openPhoto(await file(plain.file), plain.name);
    return Object.assign(photo, { kept: plain.file, result: plain.result });
  });
  const run = (/** @type {any} */ plain) => once(plain, async () => {
    const photo = await base(plain.base);
    const heatFile = plain.heat ? await file(plain.heat) : undefined;
    /** @type {Run} */
    const made = {
      base: photo, hole: await strokes(plain.hole, photo), fills: [], sketches: [], live: null,
      heatFile, keptHeat: plain.heat, heat: heatFile ? await createImageBitmap(heatFile) : null,
    };
    return made;
  });
  const fill = (/** @type {any} */ plain) => once(plain, async () => {
    const { seed, diversity, model, near, step, path, score } = plain;
    const preview = await file(plain.file);
    const picture = preview ? await createImageBitmap(preview) : null;
    /** @type {Fill} */
    const made = { key: newKey(), seed, diversity, model, near, step, path, score, preview, picture, kept: plain.file, run: await run(plain.run) };
    if (plain.mixed) {
      const { ours, theirs, region } = plain.mixed;
      made.mixed = { ours: await fill(ours), theirs: await fill(theirs), region: await strokes(region, made.run.base) };
    }
    return made;
  });
  const complete = (/** @type {any} */ plain) => once({ of: plain }, async () => { // a run's fills know the run: it comes first
    const made = await run(plain);
    if (made && !made.fills.length) {
      made.fills = await Promise.all(plain.fills.map(fill));
      made.shown = await fill(plain.shown);
    }
    return made;
  });
  const doc = (/** @type {any} */ plain) => once(plain, async () => {
    const photo = await base(plain.base);
    if (!photo) return EMPTY;
    const runs = [];
    for (const one of plain.runs) runs.push(await complete(one));
    return {
      base: photo, hole: await strokes(plain.hole, photo), run: await complete(plain.run), runs,
      chosen: await fill(plain.chosen), region: await strokes(plain.region, photo),
    };
  });
  const steps = async (/** @type {any[]} */ list) => {
    const made = [];
    for (const { join, doc: plain } of list) made.push({ join, doc: await doc(plain) });
    return made;
  };

  const album = [];
  for (const entry of record.album) {
    const blob = entry.file ? await file(entry.file) : undefined;
    const plain = { key: entry.key, name: entry.name, blob, kept: entry.file };
    album.push({ ...plain, doc: entry.doc && await doc(entry.doc), past: await steps(entry.past), future: await steps(entry.future) });
    skipKeys(entry.key);
  }
  const { options, brush, at } = record;
  const tool = TOOLS.has(record.tool) ? record.tool : state.tool;
  set({ doc: await doc(record.doc), past: await steps(record.past), future: await steps(record.future), options, tool, brush, album, at });
  const keys = (await done(store("readonly").getAllKeys())).map(String);
  const tabs = store("readwrite"); // what undo no longer reaches goes now
  for (const key of keys) if (key.startsWith(`${tab}/`) && !used.has(key)) tabs.delete(key);
}

/** Throw away what tabs have left that were closed a day ago. */
async function forgetOld() {
  const keys = (await done(store("readonly").getAllKeys())).map(String);
  const old = new Set();
  for (const key of keys.filter((one) => one.endsWith("/doc") && !one.startsWith(`${tab}/`))) {
    const record = await done(store("readonly").get(key));
    if (Date.now() - record.when > DAY) old.add(key.split("/")[0]);
  }
  const tabs = store("readwrite");
  for (const key of keys) if (old.has(key.split("/")[0])) tabs.delete(key);
}
