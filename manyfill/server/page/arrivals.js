// Photos and masks arrive: chosen in a dialog, dropped, pasted, or one of the samples.

import { openAll } from "./album.js";
import { $, element } from "./dom.js";
import { open, openMask, openSample } from "./opening.js";
import { SAMPLES } from "./samples.js";
import { state } from "./state.js";

/** @param {Iterable<File> | null | undefined} given one photo, or several to go through one after the other */
function take(given) {
  const files = [...(given ?? [])];
  if (files.length > 1 || (files.length && state.album.length)) openAll(files);
  else if (files.length) open(files[0], files[0].name || "photo.png");
}

$("#photoFile").addEventListener("change", (/** @type {any} */ event) => take(event.target.files));
$("#maskFile").addEventListener("change", (/** @type {any} */ event) => event.target.files[0] && openMask(event.target.files[0]));
document.addEventListener("paste", (event) => take(event.clipboardData?.files));

let dragDepth = 0;

/** @param {number} change */
function showDropping(change) {
  dragDepth = Math.max(0, dragDepth + change);
  $("#dropping").hidden = dragDepth === 0;
}

document.addEventListener("dragenter", () => showDropping(1));
document.addEventListener("dragleave", () => showDropping(-1));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  showDropping(-dragDepth);
  take(event.dataTransfer?.files);
});

$("#samples").append(...SAMPLES.map(({ name }) => {
  const image = element("img", { src: `samples/${name}.jpg`, alt: "", draggable: false });
  const words = element("span");
  words.dataset.text = `sample.${name}`;
  const button = element("button", {}, image, words);
  button.addEventListener("click", () => openSample(name));
  return element("li", {}, button);
}));
