// What goes wrong, in plain words; and doing one thing at a time that the server has to be asked for.

import { $ } from "./dom.js";
import { state, set } from "./state.js";
import * as api from "./api.js";
import { knows, text } from "./strings.js";

/** Say something to those who cannot see it happen. */
export function say(words) {
  document.querySelector("#live").textContent = words;
}

/** An error in plain words. */
export function wordsOf(error) {
  if (typeof error === "string") return text(knows(error) ? error : `error.${error}`);
  const key = `error.${error.code}`;
  if (knows(key)) return text(key, { message: error.message, ...error.values });
  return error instanceof api.Problem && error.message ? error.message : text("error.unknown");
}

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

/** Do one thing that the server has to be asked for; a second one waits until the first is done or stopped. */
export async function busyWith(kind, work, retry = null) {
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
