// What is open survives a reload: the photo's bytes, strokes and the fills' addresses, in the browser's own database, under
// a key that this tab alone knows. What tabs that are gone have left is thrown away after a day.

import { state, amend, subscribe } from "./state.js";
import { loadPicture, maskStroke, openPhoto } from "./photo.js";
import { newKey } from "./filling.js";

const DAY = 24 * 3600 * 1000;
const DELAY = 250; // milliseconds after the last change

const tab = sessionStorage.getItem("manyfill.tab") ?? String(Math.random()).slice(2);
let database = null;
let keptBase = null;
let timer = null;
let changes = 0; // of the state, counted: what is on the disk is of one of these numbers

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
  if (!database) return;
  subscribe(() => {
    changes += 1;
    document.body.dataset.kept = false;
    clearTimeout(timer);
    timer = setTimeout(keep, DELAY);
  });
  addEventListener("pagehide", () => timer && keep()); // a reload right after the last change
}

/**
 * Write what is open, as it is now. Transactions on one store are carried out in the order in which they are made, and
 * whole or not at all, so that the latest state is what stays, whichever of them is told first to be done.
 */
function keep() {
  clearTimeout(timer);
  timer = null;
  const kept = changes;
  const { base, hole, run, chosen, region } = state.doc;
  const transaction = database.transaction("tabs", "readwrite");
  const tabs = transaction.objectStore("tabs");
  if (!base) {
    tabs.delete(`${tab}/photo`);
    tabs.delete(`${tab}/doc`);
  } else {
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
    if (keptBase !== base) tabs.put({ root: base.root.blob, name: base.root.name, blob: base.blob }, `${tab}/photo`);
    tabs.put(record, `${tab}/doc`);
  }
  keptBase = base;
  transaction.oncomplete = () => {
    if (kept === changes) document.body.dataset.kept = true; // for whoever waits with closing
  };
  transaction.onabort = () => {
    console.warn("not kept for a reload:", transaction.error);
    keptBase = null;
  };
  transaction.commit();
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
  const whole = base.blob === base.root.blob;
  const run = fills.length
    ? { whole, base, hole: runHole, fills, sketches: [], heat: null, total: fills.length, begun: 0 } : null;
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
