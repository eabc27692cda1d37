// The strips: holes of this photo; the photo, its fills, best first, and sketches of those that are on their way.

import { $, element } from "./dom.js";
import { state, set } from "./state.js";
import { choose, goTo } from "./filling.js";
import { compose, cropAround } from "./layers.js";
import { text } from "./strings.js";
import { contextOf } from "./surfaces.js";

const strip = $("#strip");
const holes = $("#holes");
const SIZE = { width: 248, height: 176 }; // twice the largest on the page

/**
 * A cell of the strip.
 * @typedef {object} Cell
 * @property {string} key
 * @property {Fill | null} fill
 * @property {Stroke[]} crop
 * @property {Base} base
 * @property {Run | null} run
 * @property {string} label
 * @property {string} [mark]
 * @property {boolean} [sketch]
 * @property {boolean} [waiting] a place of a fill that is not even sketched
 * @property {boolean} [pressed]
 */

/** What each cell shows now, so that it is not drawn again. @type {WeakMap<Element, {picture: Picture | null, crop: Stroke[]}>} */
const drawn = new WeakMap();

/** @returns {Cell[]} the photo, finished fills, and as many places as fills are on their way, sketched or not */
function cells() {
  const { hole, run } = state.doc;
  const base = run?.base ?? /** @type {Base} */ (state.doc.base);
  const crop = run?.hole ?? hole;
  const common = { crop, base, run };
  /** @type {Cell} */
  const photo = { ...common, key: "photo", fill: null, label: text("photoCellLabel"), mark: text("photoCell") };
  if (!run) return [photo];
  const fills = run.fills.map((fill, index) => ({
    ...common, key: String(fill.key), fill, mark: String(index + 1),
    label: text(fill.mixed ? "fillMixed" : "fillLabel", { number: index + 1 }),
  }));
  const places = run.live ? run.live.total - run.live.ready : 0; // more is sketched than is finished
  const sketches = run.sketches.slice(0, places).map((fill) => ({
    ...common, key: String(fill.key), fill, label: text("sketchLabel"), sketch: true,
  }));
  const waiting = Array.from({ length: Math.max(0, places - sketches.length) }, (_, index) => ({
    ...common, key: `place ${index}`, fill: null, label: text("placeLabel"), waiting: true,
  }));
  return [photo, ...fills, ...sketches, ...waiting];
}

/** @type {Fill | null} */
let inSight = null; // the chosen fill that the strip was last scrolled to

export function renderStrip() {
  renderCells(strip, cells(), ({ fill }) => choose(fill), true);
  const { chosen } = state.doc;
  if (chosen !== inSight) strip.querySelector("[aria-pressed=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  inSight = chosen;
}

/** Earlier holes with their fills: to go back to them, once there is more than one. */
export function renderHoles() {
  const { runs, run } = state.doc;
  const shown = runs.filter((one) => one.fills.length || one.live);
  holes.hidden = shown.length < 2;
  const listed = shown.map((one, index) => ({
    key: `hole ${runs.indexOf(one)}`, fill: one.fills[0] ?? null, crop: one.hole, base: one.base, run: one, pressed: one === run,
    label: text("holeLabel", { number: index + 1, count: one.fills.length }), sketch: Boolean(one.live),
  }));
  renderCells(holes, holes.hidden ? [] : listed, ({ run: to }) => to && goTo(to), false);
}

/** The cell of each item, as it was last drawn. @type {WeakMap<Element, Cell>} */
const shownCells = new WeakMap();

/**
 * @param {HTMLElement} list
 * @param {Cell[]} wanted
 * @param {(cell: Cell) => void} click
 * @param {boolean} peeks whether what the pointer rests on is shown
 */
function renderCells(list, wanted, click, peeks) {
  const there = new Map([.../** @type {NodeListOf<HTMLLIElement>} */ (list.querySelectorAll("li"))].map((item) => [item.dataset.key, item]));
  wanted.forEach((cell, place) => {
    const item = there.get(cell.key) ?? newItem(cell.key, click, peeks);
    there.delete(cell.key);
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
    shownCells.set(item, cell);
    renderItem(item, cell);
  });
  for (const item of there.values()) item.remove();
}

/**
 * @param {string} key
 * @param {(cell: Cell) => void} click
 * @param {boolean} peeks
 */
function newItem(key, click, peeks) {
  const button = element("button", {}, element("canvas", SIZE), element("b"));
  const item = element("li", {}, button);
  item.dataset.key = key;
  const cell = () => /** @type {Cell} */ (shownCells.get(item));
  button.addEventListener("click", () => click(cell()));
  if (peeks) {
    button.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && set({ peek: cell().fill }));
    button.addEventListener("pointerleave", () => set({ peek: null }));
  }
  return item;
}

/**
 * @param {HTMLLIElement} item
 * @param {Cell} cell
 */
function renderItem(item, { fill, crop, base, run, label, mark, sketch, waiting, pressed }) {
  const button = /** @type {HTMLButtonElement} */ (item.firstChild);
  const [surface, badge] = /** @type {[HTMLCanvasElement, HTMLElement]} */ (/** @type {unknown} */ (button.children));
  button.classList.toggle("sketch", Boolean(sketch));
  button.classList.toggle("waiting", Boolean(waiting));
  button.disabled = Boolean(waiting);
  button.setAttribute("aria-pressed", String(pressed ?? (!waiting && state.doc.chosen === fill)));
  button.setAttribute("aria-label", label);
  badge.textContent = mark ?? "";
  badge.hidden = !mark;
  const picture = waiting ? null : fill ? fill.picture : base.picture;
  const last = drawn.get(item);
  if (last?.picture === picture && last.crop === crop) return;
  drawn.set(item, { picture, crop });
  if (!picture) return;
  const whole = fill && run ? compose(fill, run) : base.picture;
  const { width, height } = SIZE;
  const part = cropAround(crop, base, width / height);
  const share = base.picture.width / base.width;
  const on = contextOf(surface);
  on.imageSmoothingQuality = "high";
  on.drawImage(whole, part.left * share, part.top * share, part.width * share, part.height * share, 0, 0, width, height);
}

for (const list of [strip, holes]) {
  list.addEventListener("wheel", (/** @type {WheelEvent} */ event) => {
    if (event.ctrlKey || list.scrollWidth <= list.clientWidth || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
    event.preventDefault();
    list.scrollLeft += event.deltaY * [1, 24, 240][event.deltaMode];
  }, { passive: false });
  list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const buttons = [...list.querySelectorAll("button:not(:disabled)")];
    const next = by && buttons[buttons.indexOf(document.activeElement) + by];
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
}
