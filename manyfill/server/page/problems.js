// What goes wrong, in plain words; what is being done, one of a kind at a time; and the server's token.

import { $ } from "./dom.js";
import { doing, set, state } from "./state.js";
import * as api from "./api.js";
import { knows, text } from "./strings.js";

const NOTE_MILLISECONDS = 6000;
const LOOK_MILLISECONDS = 2500; // from one look for a server that is gone to the next
let noteTimer = 0;
let lookTimer = 0;
/** What the page says of a server that is gone. @type {Problem | null} */
let gone = null;

/**
 * Say something to those who cannot see it happen.
 * @param {string} words
 */
export function say(words) {
  $("#live").textContent = words;
}

/**
 * Say something to everybody, for a few seconds.
 * @param {string} words
 */
export function note(words) {
  say(words);
  clearTimeout(noteTimer);
  set({ note: words });
  noteTimer = window.setTimeout(() => set({ note: null }), NOTE_MILLISECONDS);
}

/**
 * An error in plain words.
 * @param {any} error a Problem, the name of a string, or whatever was thrown
 */
export function wordsOf(error) {
  if (typeof error === "string") return text(knows(error) ? error : `error.${error}`);
  const key = `error.${error.code}`;
  if (knows(key)) return text(key, { message: error.message, ...error.values });
  return error instanceof api.Problem && error.message ? error.message : text("error.unknown");
}

/**
 * @param {any} error
 * @param {(() => void) | null} retry
 */
export function report(error, retry = null) {
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

/**
 * Do something that takes a while; a second thing of its kind is not begun before it is done or stopped.
 * @param {TaskKind} kind
 * @param {(signal: AbortSignal) => Promise<void>} work
 * @param {(() => void) | null} retry
 */
export async function busyWith(kind, work, retry = null) {
  if (doing(kind)) return;
  const task = { kind, abort: new AbortController() };
  set({ tasks: [...state.tasks, task], problem: null });
  try {
    await work(task.abort.signal);
  } catch (error) {
    report(error, retry);
  } finally {
    set({ tasks: state.tasks.filter((one) => one !== task) });
  }
}

/** Stop what is being done: what was begun last. Returns whether there was something. */
export function stop() {
  const last = state.tasks.at(-1)?.abort ?? state.doc.run?.live?.abort;
  last?.abort();
  return last !== undefined;
}

/** Learn what the server can do; ask for the token where it wants one. While it is gone, look for it. */
export async function connect() {
  clearTimeout(lookTimer);
  try {
    const server = await api.health();
    set({ server });
    if (gone) {
      if (state.problem === gone) set({ problem: null });
      gone = null;
      note(text("back"));
    }
    if (server.status === "failed") throw new api.Problem(server.reason ?? "", { code: "model_not_loaded" });
    set({ models: await api.models() });
  } catch (error) {
    if (!(error instanceof api.Problem) || error.code !== "no_connection") {
      report(error, connect);
      return;
    }
    lookTimer = window.setTimeout(connect, LOOK_MILLISECONDS);
    if (gone) return; // it was said
    gone = { message: text("error.gone"), retry: connect };
    set({ problem: gone });
  }
}

/** @param {(() => void) | null} retry */
function askToken(retry) {
  const dialog = $("#tokenDialog");
  const field = dialog.querySelector("input");
  dialog.querySelector("[data-wrong]").hidden = state.token === null;
  dialog.onclose = () => {
    if (!field.value.trim()) return;
    set({ token: field.value.trim() });
    sessionStorage.setItem("manyfill.token", state.token ?? "");
    field.value = "";
    (retry ?? connect)();
  };
  if (!dialog.open) dialog.showModal();
}
