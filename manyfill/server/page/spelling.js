// Puts the page's words where they belong.

import { $, element } from "./dom.js";
import { text } from "./strings.js";

/** @type {[string, string[]][]} */
const KEYS = [
  ["keyFill", ["keyEnter"]], ["keyTools", ["B", "E", "R", "L", "W"]], ["keySize", ["[", "]"]], ["keyUndo", ["Ctrl Z", "Ctrl ⇧ Z"]],
  ["keyChoose", ["1", "…", "9", "0"]], ["keyOriginal", ["keyTab"]], ["keyCompare", ["C"]], ["keyHeat", ["U"]],
  ["keyZoom", ["keyWheel"]], ["keyPan", ["keySpace"]], ["keyArrows", ["arrows"]], ["keyPen", ["D"]],
  ["keySave", ["Ctrl S"]], ["keyStop", ["keyEsc"]], ["keyHelp", ["?"]],
];

/** @param {string} selector @returns {NodeListOf<HTMLElement>} */
function all(selector) {
  return document.querySelectorAll(selector);
}

export function spell() {
  for (const one of all("[data-text]")) {
    const words = text(one.dataset.text ?? "");
    if (!one.querySelector("svg")) one.textContent = words;
    else (one.querySelector("span") ?? one.appendChild(element("span"))).textContent = words;
  }
  for (const one of all("[data-label]")) {
    const words = text(one.dataset.label ?? "");
    one.setAttribute("aria-label", words);
    if (one.matches("button, input")) one.title = one.dataset.key ? `${words}  ${one.dataset.key}` : words;
  }
  $("#keys").replaceChildren(...KEYS.flatMap(([what, keys]) => {
    const caps = keys.map((key) => element("kbd", { textContent: text(key) }));
    return [element("dt", {}, ...caps), element("dd", { textContent: text(what) })];
  }));
}
