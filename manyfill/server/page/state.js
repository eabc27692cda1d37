// The one state object, its history, and who is told when it changes.
//
// `state.doc` is what undo and redo move through: plain, never written into, replaced as a whole. What costs memory or
// streams in (photos, runs of fills) lies beside it and is only referred to.

/** @type {Doc} */
export const EMPTY = Object.freeze({
  base: null, // the photo that is being filled: see photo.js
  hole: [], // strokes on it: see hole.js
  run: null, // the fills of that hole
  runs: [], // those of all holes of this photo
  chosen: null, // one of run.fills or run.sketches; null: the photo with its hole
  region: [], // strokes on the chosen fill: a part to fill again, or to take from another fill
});

/** @type {State} */
export const state = {
  doc: EMPTY,
  past: [],
  future: [],
  tool: "brush",
  brush: 0.06,
  sizing: false,
  penDown: false,
  peek: null,
  mix: null,
  original: false,
  compare: null,
  overlay: null,
  tasks: [],
  album: [],
  at: null,
  note: null,
  problem: null,
  server: null,
  models: [],
  token: null,
  options: { n: 4, diversity: 1, model: "" },
};

const MOST_STEPS = 200;
/** @type {Set<() => void>} */
const listeners = new Set();
let told = false;

/**
 * Call `listener` soon after anything changed, once for all changes of one task.
 * @param {() => void} listener
 */
export function subscribe(listener) {
  listeners.add(listener);
}

/** Something that the state refers to has changed. */
export function changed() {
  if (told) return;
  told = true;
  queueMicrotask(() => {
    told = false;
    for (const listener of listeners) listener();
  });
}

/**
 * Change what undo does not touch.
 * @param {Partial<State>} patch
 */
export function set(patch) {
  Object.assign(state, patch);
  changed();
}

/**
 * A step that can be undone. Steps with the same `join` in a row, such as looking through fills, are one.
 * @param {Partial<Doc>} patch
 * @param {string | null} join
 */
export function step(patch, join = null) {
  const last = state.past.at(-1);
  if (join === null || last?.join !== join) {
    state.past.push({ doc: state.doc, join });
    if (state.past.length > MOST_STEPS) state.past.shift();
  }
  state.future = [];
  state.doc = { ...state.doc, ...patch };
  changed();
}

/**
 * Change the document without a step of its own: what arrives by itself.
 * @param {Partial<Doc>} patch
 */
export function amend(patch) {
  state.doc = { ...state.doc, ...patch };
  changed();
}

export function undo() {
  const last = state.past.pop();
  if (!last) return false;
  state.future.push({ doc: state.doc, join: last.join });
  state.doc = last.doc;
  set({ peek: null, mix: null, overlay: null });
  return true;
}

export function redo() {
  const next = state.future.pop();
  if (!next) return false;
  state.past.push({ doc: state.doc, join: next.join });
  state.doc = next.doc;
  set({ peek: null, mix: null, overlay: null });
  return true;
}

/**
 * The fill that is looked at: the one under the pointer, else the chosen one; null: the photo.
 * @returns {Fill | null}
 */
export function shownFill() {
  return state.original ? null : state.peek ?? state.doc.chosen;
}

/**
 * Whether something of this kind is being done.
 * @param {TaskKind} kind
 */
export function doing(kind) {
  return state.tasks.some((task) => task.kind === kind);
}
