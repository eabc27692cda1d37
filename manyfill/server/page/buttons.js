// What buttons, sliders and menus do; the toolbar's own buttons come from the tools that there are.

import { toggleCompare } from "./compare.js";
import { $, element, icon } from "./dom.js";
import { fill, LIKE, UNLIKE, vary } from "./filling.js";
import { clear } from "./opening.js";
import { say, stop } from "./problems.js";
import { download } from "./saving.js";
import { spell } from "./spelling.js";
import { changed, redo, set, state, undo } from "./state.js";
import { otherLanguage, text } from "./strings.js";
import { pick } from "./strokes.js";
import { TOOLS } from "./tools.js";
import { brushWidth, fit } from "./view.js";

export const BRUSH = { least: 0.004, most: 0.3 }; // of the photo's longer side

export function toggleHeat() {
  if (state.doc.run?.heat) set({ heat: !state.heat, compare: null });
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
  if (state.busy && state.busy.kind !== "open") stop();
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
  heat: toggleHeat,
  dropRegion: clear,
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
  for (const button of $("#downloadMenu").querySelectorAll("[data-format]")) {
    button.addEventListener("click", () => {
      $("#downloadMenu").hidePopover();
      download(button.dataset.format);
    });
  }
  onInput("#size", (value) => set({ brush: BRUSH.least * (BRUSH.most / BRUSH.least) ** (Number(value) / 100) }));
  onInput("#count", (value) => set({ options: { ...state.options, n: Number(value) } }));
  onInput("#variety", (value) => set({ options: { ...state.options, diversity: Number(value) } }));
  onInput("#model", (value) => set({ options: { ...state.options, model: value } }));
}

/**
 * @param {string} selector
 * @param {(value: string) => void} take
 */
function onInput(selector, take) {
  $(selector).addEventListener("input", (/** @type {any} */ event) => take(event.target.value));
}
