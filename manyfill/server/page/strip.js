// The strip of thumbnails: the photo, its fills, best first, and sketches of those that are on the way.

import { $, element } from "./dom.js";
import { state, set } from "./state.js";
import { choose } from "./filling.js";
import { compose, cropAround } from "./layers.js";
import { text } from "./strings.js";
import { contextOf } from "./surfaces.js";

const strip = $("#strip");
const SIZE = { width: 248, height: 176 }; // twice the largest on the page

/**
 * A cell of the strip.
 * @typedef {{key: string, fill: Fill | null, crop: Stroke[], base: Base, label: string, mark?: string, sketch?: boolean}} Cell
 */

/** What each cell shows now, so that it is not drawn again. @type {WeakMap<Element, {picture: Picture, crop: Stroke[]}>} */
const drawn = new WeakMap();

/** @returns {Cell[]} the photo, finished fills, and sketches */
function cells() {
  const { hole, run } = state.doc;
  const base = run?.base ?? /** @type {Base} */ (state.doc.base);
  const crop = run?.hole ?? hole;
  /** @type {Cell} */
  const photo = { key: "photo", fill: null, crop, base, label: text("photoCellLabel"), mark: text("photoCell") };
  if (!run) return [photo];
  const fills = run.fills.map((fill, index) => ({
    key: String(fill.key), fill, crop, base, mark: String(index + 1),
    label: text(fill.mixed ? "fillMixed" : "fillLabel", { number: index + 1 }),
  }));
  const sketches = run.sketches.map((fill) => ({
    key: String(fill.key), fill, crop, base, label: text("sketchLabel"), sketch: true,
  }));
  return [photo, ...fills, ...sketches];
}

export function renderStrip() {
  const there = new Map([...strip.children].map((item) => [item.dataset.key, item]));
  cells().forEach((cell, place) => {
    const item = there.get(cell.key) ?? newItem(cell);
    there.delete(cell.key);
    if (strip.children[place] !== item) strip.insertBefore(item, strip.children[place] ?? null);
    renderItem(item, cell);
  });
  for (const item of there.values()) item.remove();
}

/** @param {Cell} cell */
function newItem(cell) {
  const button = element("button", {}, element("canvas", SIZE), element("b"));
  button.addEventListener("click", () => choose(cell.fill));
  if (cell.fill) peekOn(button, cell.fill);
  const item = element("li", {}, button);
  item.dataset.key = cell.key;
  return item;
}

/**
 * @param {HTMLLIElement} item
 * @param {Cell} cell
 */
function renderItem(item, { fill, crop, base, label, mark, sketch }) {
  const button = /** @type {HTMLButtonElement} */ (item.firstChild);
  const [surface, badge] = /** @type {[HTMLCanvasElement, HTMLElement]} */ (/** @type {unknown} */ (button.children));
  button.classList.toggle("sketch", Boolean(sketch));
  button.setAttribute("aria-pressed", String(state.doc.chosen === fill));
  button.setAttribute("aria-label", label);
  badge.textContent = mark ?? "";
  badge.hidden = !mark;
  const picture = fill ? fill.picture : base.picture;
  const last = drawn.get(item);
  if (!picture || (last?.picture === picture && last.crop === crop)) return;
  drawn.set(item, { picture, crop });
  const whole = fill && state.doc.run ? compose(fill, state.doc.run) : base.picture;
  const { width, height } = SIZE;
  const part = cropAround(crop, base, width / height);
  const share = base.picture.width / base.width;
  const on = contextOf(surface);
  on.imageSmoothingQuality = "high";
  on.drawImage(whole, part.left * share, part.top * share, part.width * share, part.height * share, 0, 0, width, height);
}

/**
 * Show a fill while the pointer rests on its button.
 * @param {HTMLButtonElement} button
 * @param {Fill} fill
 */
export function peekOn(button, fill) {
  button.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && set({ peek: fill }));
  button.addEventListener("pointerleave", () => set({ peek: null }));
}
