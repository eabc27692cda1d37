// Several photos at once: each with its own hole and fills, or all with the same hole; filled one after the other and
// downloaded as one archive.

import { Problem } from "./api.js";
import { $, element } from "./dom.js";
import { ask, newKey } from "./filling.js";
import { openBase } from "./opening.js";
import { busyWith, note, report } from "./problems.js";
import { fileName, fileOf, save } from "./saving.js";
import { changed, doing, EMPTY, set, state } from "./state.js";
import { text } from "./strings.js";
import { zipOf } from "./zip.js";

const list = $("#photos");

/**
 * Several files take the place of what is open; it is the first of them where it is not among them.
 * @param {File[]} files
 */
export async function openAll(files) {
  keepOpen();
  const entries = files.map((file) => (
    { key: newKey(), name: file.name || "photo.png", blob: file, doc: null, past: [], future: [] }));
  set({ album: [...state.album, ...entries] });
  note(text("severalOpened", { count: state.album.length }));
  await show(entries[0]);
}

/** What is open is remembered in its place, so that another photo can be. */
function keepOpen() {
  const { doc, past, future } = state;
  if (!doc.base) return;
  const now = current();
  if (now) Object.assign(now, { doc, past, future });
  else {
    const entry = { key: newKey(), name: doc.base.root.name, blob: doc.base.root.blob, doc, past, future };
    set({ album: [...state.album, entry], at: entry.key });
  }
}

/** The photo of the album that is open. */
export function current() {
  return state.album.find((entry) => entry.key === state.at) ?? null;
}

/**
 * Go to a photo of the album, as it was left.
 * @param {Entry} entry
 */
export async function show(entry) {
  if (doing("open") || entry.key === state.at) return;
  keepOpen();
  if (!entry.doc) await busyWith("open", (signal) => load(entry, signal), () => show(entry));
  if (!entry.doc) return;
  set({ at: entry.key, doc: entry.doc, past: entry.past, future: entry.future, compare: null, overlay: null, peek: null, mix: null });
}

/**
 * @param {Entry} entry
 * @param {AbortSignal} [signal]
 */
async function load(entry, signal) {
  if (!entry.blob) return;
  entry.doc = { ...EMPTY, base: await openBase(entry.blob, entry.name, signal) };
}

/** Put the hole of the photo that is open on all others of its shape that have none, and fill all that are not. */
export async function fillAll() {
  keepOpen();
  const { base, hole } = state.doc;
  if (!base) return;
  const skipped = [];
  for (const entry of [...state.album]) {
    await loadTold(entry);
    if (!entry.doc?.base) continue;
    const size = entry.doc.base;
    if (!entry.doc.hole.length && size.width === base.width && size.height === base.height) change(entry, { hole });
    if (!entry.doc.hole.length) skipped.push(entry.name);
    else if (!entry.doc.runs.some((run) => run.hole === entry.doc?.hole && (run.fills.length || run.live))) await fillIn(entry);
  }
  if (skipped.length) report(Object.assign(new Problem("", { code: "noHoleYet" }), { values: { names: skipped.join(", ") } }));
}

/** @param {Entry} entry */
async function loadTold(entry) {
  if (!entry.doc) await load(entry).catch((error) => report(error));
}

/**
 * @param {Entry} entry
 * @param {Partial<Doc>} patch
 */
function change(entry, patch) {
  const doc = { .../** @type {Doc} */ (entry.doc), ...patch };
  entry.past = [...entry.past, { doc: /** @type {Doc} */ (entry.doc), join: null }];
  entry.doc = doc;
  if (entry.key === state.at) set({ doc, past: entry.past });
  changed();
}

/**
 * Fill a photo of the album, whichever is open.
 * @param {Entry} entry
 */
async function fillIn(entry) {
  const { base, hole } = /** @type {Doc} */ (entry.doc);
  if (!base) return;
  if (entry.key === state.at) {
    await ask(base, hole);
    return;
  }
  const run = /** @type {Run} */ ({ base, hole, fills: [], sketches: [], heat: null, live: null });
  change(entry, { run, runs: [.../** @type {Doc} */ (entry.doc).runs, run] });
  await ask(base, hole, {}, run);
  if (entry.doc?.run === run && !entry.doc.chosen && entry.key !== state.at) entry.doc = { ...entry.doc, chosen: run.fills[0] ?? null };
  changed();
}

/** The chosen or best fill of every photo, in one archive. */
export async function downloadAll() {
  keepOpen();
  await busyWith("save", async (signal) => {
    const files = [];
    for (const { doc } of state.album) {
      const fill = doc?.chosen?.path ? doc.chosen : doc?.run?.fills[0];
      if (fill) files.push({ name: fileName(fill.run.base.root, "same"), blob: await fileOf(fill, "same", signal) });
    }
    if (!files.length) throw "needFill";
    save(await zipOf(files), "manyfill.zip");
  }, downloadAll);
}

/** Leave the album; what is open stays. */
export function closeAlbum() {
  set({ album: [], at: null });
}

let drawn = "";

export function renderAlbum() {
  $("#album").hidden = state.album.length < 2;
  if (state.album.length < 2) return;
  const docOf = (/** @type {Entry} */ entry) => (entry.key === state.at ? state.doc : entry.doc);
  const marks = state.album.map((entry) => {
    const runs = docOf(entry)?.runs ?? [];
    return runs.some((run) => run.live) ? "…" : runs.some((run) => run.fills.length) ? "✓" : "";
  });
  const now = JSON.stringify([state.album.map(({ key }) => key), marks, state.at, text("fillAll")]);
  $("#downloadAll").disabled = doing("save") || !marks.includes("✓");
  if (now === drawn) return;
  drawn = now;
  list.replaceChildren(...state.album.map((entry, index) => {
    const button = element("button", { textContent: `${entry.name} ${marks[index]}`.trim() });
    button.setAttribute("aria-pressed", String(entry.key === state.at));
    button.addEventListener("click", () => show(entry));
    return element("li", {}, button);
  }));
}
