// The keyboard: letters, Tab that shows the original while it is held, Enter, Escape, Space, arrows.

import { fillOrStop, moved, sizeBy, toggleOverlay } from "./buttons.js";
import { toggleCompare } from "./compare.js";
import { $ } from "./dom.js";
import { chooseNumber } from "./filling.js";
import { clear } from "./opening.js";
import { holdSpace } from "./pointers.js";
import { say, stop } from "./problems.js";
import { copy, download } from "./saving.js";
import { set, state } from "./state.js";
import { text } from "./strings.js";
import { arrow, dropStroke, pick, pickedTool, togglePen } from "./strokes.js";
import { TOOLS } from "./tools.js";
import { fit, zoom } from "./view.js";

/** What single keys do, beside picking tools. @type {Record<string, () => void>} */
export const LETTERS = {
  "[": () => sizeBy(1 / 1.15), "]": () => sizeBy(1.15),
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), f: fit,
  c: toggleCompare, u: () => toggleOverlay("heat"), o: () => toggleOverlay("origins"),
  d: () => { togglePen(); say(text(state.penDown ? "penDown" : "penUp")); },
  "?": () => $("#helpDialog").showModal(),
};

/** With Ctrl, or Command. Each says whether the key was for it. @type {Record<string, (shift: boolean) => boolean>} */
export const COMMANDS = {
  s: () => { if (state.doc.base) download(); return true; },
  c: () => { const can = Boolean(state.doc.chosen?.path) && !String(getSelection()); if (can) copy(); return can; },
  z: (shift) => { moved(!shift); return true; },
  y: () => { moved(false); return true; },
};

const TAP = 300; // milliseconds; a Tab held longer shows the original, a shorter one moves the focus

/** @type {number | null} */
let tabDown = null;

/** @param {Element} target */
function typing(target) {
  return target.matches("select, textarea, input:not([type=range])") || target.closest("dialog, [popover]") !== null;
}

/** @param {string} letter */
function press(letter) {
  const tool = [...TOOLS.values()].find(({ key }) => key === letter);
  if (tool) pick(tool.name);
  else LETTERS[letter]?.();
}

document.addEventListener("keydown", (event) => {
  const { key } = event;
  const target = /** @type {Element} */ (event.target);
  const command = event.ctrlKey || event.metaKey;
  const letter = key.toLowerCase();
  if (letter !== "s" && (!state.doc.base || typing(target))) return;
  if (command && COMMANDS[letter]?.(event.shiftKey)) event.preventDefault();
  if (command || event.altKey || !state.doc.base || typing(target)) return;
  const onStage = target === $("#stage") || target === document.body;
  if (key === "Tab" && !event.shiftKey && state.doc.chosen && (onStage || target.closest("#strip"))) {
    event.preventDefault();
    if (tabDown === null) tabDown = event.timeStamp;
    set({ original: true });
  } else if (key === "Escape") {
    if (pickedTool().escape?.()) return;
    if (!dropStroke() && state.problem) set({ problem: null });
    else if (state.overlay || state.compare !== null) set({ overlay: null, compare: null });
    else if (state.doc.region.length) clear();
    else stop();
  } else if (key === " " && onStage) {
    event.preventDefault();
    holdSpace(true);
  } else if (key === "Enter" && !target.closest("button")) {
    event.preventDefault();
    if (!pickedTool().enter?.() && !state.doc.run?.live) fillOrStop();
  } else if (onStage && arrow(key, { far: event.shiftKey })) {
    event.preventDefault();
  } else if (/^[0-9]$/.test(key)) {
    chooseNumber(Number(key));
  } else if (!event.repeat || "[]+-=".includes(key)) {
    press(letter);
  }
});

document.addEventListener("keyup", (event) => {
  if (event.key === " ") holdSpace(false);
  if (event.key === "Tab" && tabDown !== null) {
    const tapped = event.timeStamp - tabDown < TAP;
    tabDown = null;
    set({ original: false });
    if (tapped) focusAfter(document.activeElement);
  }
});

window.addEventListener("blur", () => {
  tabDown = null;
  holdSpace(false);
  set({ original: false });
});

/**
 * What the browser would have done with Tab.
 * @param {Element | null} from
 */
function focusAfter(from) {
  /** @type {any[]} */
  const every = [...document.querySelectorAll("a[href], button, input, select, [tabindex='0']")];
  const all = every.filter((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility()
    && !one.closest("[popover]:not(:popover-open), dialog"));
  (all[all.indexOf(from) + 1] ?? all[0]).focus();
}
