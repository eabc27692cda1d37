// Puts the page's words where they belong.

import { $, element } from "./dom.js";
import { text } from "./strings.js";
import { TOOLS } from "./tools.js";

const CTRL = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";

/** What each key of keys.js and of the tools is for. @returns {[string, string[]][]} */
function keys() {
  const tools = [...TOOLS.values()].filter(({ key }) => key);
  return [
    ...tools.map(({ name, key = "" }) => /** @type {[string, string[]]} */ ([name, [key.toUpperCase()]])),
    ["keySize", ["[", "]"]], ["keyFill", ["keyEnter"]],
    ["keyChoose", ["1", "…", "9", "0"]], ["keyOriginal", ["keyTab"]],
    ["keyCompare", ["C"]], ["keyHeat", ["U"]], ["origins", ["O"]], ["keyStop", ["keyEsc"]],
    ["keyZoom", ["keyWheel", "+", "−", "F"]], ["keyPan", ["keySpace"]],
    ["keyArrows", ["arrows"]], ["keyPen", ["D"]],
    ["keyUndo", [`${CTRL} Z`]], ["keyRedo", [`${CTRL} ⇧ Z`, `${CTRL} Y`]],
    ["keySave", [`${CTRL} S`]], ["keyCopy", [`${CTRL} C`]], ["keyPaste", [`${CTRL} V`]], ["keyHelp", ["?"]],
  ];
}

/** @param {string} selector @returns {NodeListOf<HTMLElement>} */
function all(selector) {
  return document.querySelectorAll(selector);
}

export function spell() {
  for (const one of all("[data-text]")) {
    const words = text(one.dataset.text ?? "");
    if (!one.querySelector("svg")) one.textContent = words;
    else (one.querySelector("span") ?? one.appendChild(element("span"))).textContent = words;
    if (one.closest("#chosenBar")) one.title = one.dataset.key ? `${words}  ${one.dataset.key}` : words; // its words go where it is narrow
  }
  for (const one of all("[data-label]")) {
    const words = text(one.dataset.label ?? "");
    one.setAttribute("aria-label", words);
    if (one.matches("button, input")) one.title = one.dataset.key ? `${words}  ${one.dataset.key}` : words;
  }
  $("#keys").replaceChildren(...keys().flatMap(([what, pressed]) => {
    const caps = pressed.map((key) => element("kbd", { textContent: text(key) }));
    return [element("dt", {}, ...caps), element("dd", { textContent: text(what) })];
  }));
}
