// What buttons, sliders and menus do; the toolbar's own buttons come from the tools that there are.

import { closeAlbum, downloadAll, fillAll } from "./album.js";
import { toggleCompare } from "./compare.js";
import { $, element, icon } from "./dom.js";
import { fill, LIKE, UNLIKE, vary } from "./filling.js";
import { clear } from "./opening.js";
import { say } from "./problems.js";
import { copy, download, saveMask, share, shares } from "./saving.js";
import { spell } from "./spelling.js";
import { changed, redo, set, state, undo } from "./state.js";
import { otherLanguage, text } from "./strings.js";
import { pick } from "./strokes.js";
import { TOOLS } from "./tools.js";
import { brushWidth, fit, invalidate, zoom } from "./view.js";

export const BRUSH = { least: 0.004, most: 0.3 }; // of the photo's longer side

/** @param {"heat" | "origins"} kind */
export function toggleOverlay(kind) {
  const { run, chosen } = state.doc;
  if (kind === "heat" ? !run?.heat : !chosen?.path) return;
  set({ overlay: state.overlay === kind ? null : kind, compare: null });
}

/** @param {boolean} back */
export function moved(back) {
  const done = back ? undo() : redo();
  say(text(back ? (done ? "undone" : "nothingUndo") : done ? "redone" : "nothingRedo"));
}

/** @param {number} factor */
export function sizeBy(factor) {
  set({ brush: Math.min(BRUSH.most, Math.max(BRUSH.least, state.brush * factor)) });
  say(text("size_is", { size: Math.round(brushWidth()) }));
}

export function fillOrStop() {
  if (state.doc.run?.live && state.doc.run.hole === state.doc.hole && !state.doc.region.length) state.doc.run.live.abort.abort();
  else if (!$("#fill").disabled) fill();
}

/** @param {HTMLInputElement} input */
function pickFile(input) {
  input.value = "";
  input.click();
}

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme === "dark" || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("manyfill.theme", root.dataset.theme);
}

/** @type {Record<string, () => void>} by the button's id */
const CLICKS = {
  choose: () => pickFile($("#photoFile")),
  open: () => pickFile($("#photoFile")),
  mask: () => pickFile($("#maskFile")),
  undo: () => moved(true),
  redo: () => moved(false),
  download: () => download(),
  language: () => { otherLanguage(); spell(); changed(); },
  theme: toggleTheme,
  help: () => $("#helpDialog").showModal(),
  clear,
  fit,
  fill: fillOrStop,
  like: () => vary(LIKE),
  unlike: () => vary(UNLIKE),
  compare: toggleCompare,
  heat: () => toggleOverlay("heat"),
  origins: () => toggleOverlay("origins"),
  zoomIn: () => zoom(1.25),
  zoomOut: () => zoom(0.8),
  dropRegion: clear,
  fillAll,
  downloadAll,
  closeAlbum,
  dismiss: () => set({ problem: null }),
  retry: () => {
    const retry = state.problem?.retry;
    set({ problem: null });
    retry?.();
  },
};

/** Make the toolbar's buttons and let every button do its work. */
export function startButtons() {
  for (const { name, key, icon: shape } of TOOLS.values()) {
    const button = element("button", { className: "icon" }, icon(shape));
    Object.assign(button.dataset, { tool: name, label: name, ...(key && { key: key.toUpperCase() }) });
    button.addEventListener("click", () => pick(name));
    $("#size").before(button);
  }
  for (const [id, click] of Object.entries(CLICKS)) $(`#${id}`).addEventListener("click", click);
  /** @type {Record<string, () => void>} */
  const savers = { same: () => download(), png: () => download("png"), copy, share, mask: saveMask };
  for (const button of $("#downloadMenu").querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => {
      $("#downloadMenu").hidePopover();
      savers[button.dataset.save]();
    });
  }
  $("[data-save=share]").hidden = !shares();
  holdOriginal($("#original"));
  for (const name of ["pointerdown", "keydown"]) $("#size").addEventListener(name, () => showBrush(true));
  for (const name of ["pointerup", "blur", "keyup"]) $("#size").addEventListener(name, () => showBrush(false));
  onInput("#size", (value) => set({ brush: BRUSH.least * (BRUSH.most / BRUSH.least) ** (Number(value) / 100) }));
  onInput("#count", (value) => set({ options: { ...state.options, n: Number(value) } }));
  onInput("#variety", (value) => set({ options: { ...state.options, diversity: Number(value) } }));
  onInput("#model", (value) => set({ options: { ...state.options, model: value } }));
}

/**
 * The original is seen while a button is held, by finger or key.
 * @param {HTMLButtonElement} button
 */
function holdOriginal(button) {
  for (const name of ["pointerdown", "keydown"]) {
    button.addEventListener(name, (/** @type {any} */ event) => (!event.key || " Enter".includes(event.key)) && set({ original: true }));
  }
  for (const name of ["pointerup", "pointercancel", "pointerleave", "keyup", "blur"]) {
    button.addEventListener(name, () => set({ original: false }));
  }
  button.addEventListener("contextmenu", (event) => event.preventDefault()); // a finger that rests
}

/**
 * The brush's ring in the middle of the stage while its size is being chosen.
 * @param {boolean} sizing
 */
function showBrush(sizing) {
  set({ sizing });
  invalidate();
}

/**
 * @param {string} selector
 * @param {(value: string) => void} take
 */
function onInput(selector, take) {
  $(selector).addEventListener("input", (/** @type {any} */ event) => take(event.target.value));
}
