// What is open survives a reload: the photo's bytes, strokes and the fills' addresses, in the browser's own database, under
// a key that this tab alone knows. What tabs that are gone have left is thrown away after a day.

import { state, amend, subscribe } from "./state.js";
import { loadPicture, maskStroke, openPhoto } from "./photo.js";
import { newKey } from "./actions.js";

const DAY = 24 * 3600 * 1000;
const DELAY = 250; // milliseconds after the last change

const tab = sessionStorage.getItem("manyfill.tab") ?? String(Math.random()).slice(2);
let database = null;
let keptBase = null;
let timer = null;

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function store(mode) {
  return database.transaction("tabs", mode).objectStore("tabs");
}

/** Bring back what this tab had open; then keep it. Where there is no database nothing is kept. */
export async function startKeeping() {
  sessionStorage.setItem("manyfill.tab", tab);
  try {
    const opening = indexedDB.open("manyfill", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("tabs");
    database = await done(opening);
    await restore();
    await forgetOld();
  } catch (error) {
    console.warn("nothing is kept for a reload:", error);
  }
  subscribe(() => {
    if (!database) return;
    clearTimeout(timer);
    document.body.dataset.kept = false;
    timer = setTimeout(() => keep().catch((error) => console.warn(error)), DELAY);
  });
}

async function keep() {
  const { base, hole, run, chosen, region } = state.doc;
  if (!base) return;
  if (keptBase !== base) {
    const { root } = base;
    await done(store("readwrite").put({ root: root.blob, name: root.name, blob: base.blob }, `${tab}/photo`));
    keptBase = base;
  }
  const fills = run?.base === base ? run.fills : [];
  const record = {
    when: Date.now(),
    hole: plain(hole),
    region: plain(region),
    runHole: run ? plain(run.hole) : [],
    same: run?.hole === hole,
    fills: fills.map(({ picture, sharp, ...fill }) => fill),
    chosen: fills.indexOf(chosen),
  };
  await done(store("readwrite").put(record, `${tab}/doc`));
  document.body.dataset.kept = true; // for whoever waits with closing
}

function plain(strokes) {
  return strokes.map(({ tool, points, blob }) => ({ tool, points, blob }));
}

async function restore() {
  const photo = await done(store("readonly").get(`${tab}/photo`));
  const record = await done(store("readonly").get(`${tab}/doc`));
  if (!photo || !record) return;
  const root = await openPhoto(photo.root, photo.name);
  const base = photo.blob === photo.root || photo.blob.size === photo.root.size
    ? root : { ...(await openPhoto(photo.blob, photo.name)), root };
  const strokes = (list) => Promise.all(list.map((stroke) => (
    stroke.tool === "mask" ? maskStroke(stroke.blob, base.width, base.height) : stroke)));
  const hole = await strokes(record.hole);
  const runHole = record.same ? hole : await strokes(record.runHole);
  const loaded = await Promise.all(record.fills.map(async (fill) => {
    const picture = await loadPicture(fill.preview).catch(() => null); // the server keeps results for a while only
    return { ...fill, key: newKey(), done: true, picture };
  }));
  const fills = loaded.filter((fill) => fill.picture);
  const run = fills.length ? { base, hole: runHole, fills, sketches: [], heat: null, total: fills.length, begun: 0 } : null;
  const chosen = loaded[record.chosen];
  amend({ base, hole, run, chosen: chosen?.picture ? chosen : null, region: chosen?.picture ? await strokes(record.region) : [] });
  keptBase = base;
}

async function forgetOld() {
  const keys = await done(store("readonly").getAllKeys());
  for (const key of keys.filter((one) => one.endsWith("/doc") && !one.startsWith(tab))) {
    const record = await done(store("readonly").get(key));
    if (Date.now() - record.when < DAY) continue;
    await done(store("readwrite").delete(key));
    await done(store("readwrite").delete(key.replace(/doc$/, "photo")));
  }
}
