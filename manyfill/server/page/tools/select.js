// Select: a click on an object, a box around it, text, or dust. The server finds its outline; what it finds is a mask
// stroke like one that was loaded, and replaced by the next answer as long as the same object is being pointed at.

import * as api from "../api.js";
import { element } from "../dom.js";
import { maskStroke } from "../photo.js";
import { busyWith } from "../problems.js";
import { withPhoto } from "../remaking.js";
import { state, step } from "../state.js";
import { text } from "../strings.js";
import { edited } from "../strokes.js";
import { register } from "../tools.js";
import { view } from "../view.js";

const TAP = 5; // pixels of the screen that a click may move
const USUAL = 6; // thousandths of the photo's longer side that objects grow by, as the server has it
const LINE = 4; // pixels of the screen: how wide a scribble is drawn

/** @typedef {"new" | "more" | "less"} Mode */
/** What is pointed at. @typedef {{click: string[], keep: string[], scribble: string[], box: string}} Asked */

/** @type {Mode} */
let mode = "new";
let grow = USUAL;

/** The object that is being pointed at, and what came of it. @type {{asked: Asked, stroke: Stroke | null, base: Base | null}} */
let object = { asked: nothing(), stroke: null, base: null };

/** @returns {Asked} */
function nothing() {
  return { click: [], keep: [], scribble: [], box: "" };
}

/** Whether there is an object to say more about: it was not undone, and the photo is the same. */
function going() {
  return object.base === state.doc.base && object.stroke !== null && state.doc[edited()].includes(object.stroke);
}

/**
 * @param {Record<string, any>} fields
 * @param {boolean} instead of the last answer
 */
function ask(fields, instead) {
  const { base } = state.doc;
  if (!base) return;
  const last = instead && going() ? object.stroke : null;
  busyWith("tool", async (signal) => {
    const found = await withPhoto(base, (image) => api.select({ ...image, ...fields }, signal), signal);
    if (found.image_result) base.result = found.image_result;
    const stroke = await maskStroke(found.mask, base.width, base.height);
    if (signal.aborted || state.doc.base !== base) return;
    const which = edited();
    step({ [which]: [...state.doc[which].filter((one) => one !== last), stroke] });
    object.stroke = stroke;
    object.base = base;
  });
}

function askObject() {
  const { base } = state.doc;
  const { click, keep, scribble, box } = object.asked;
  if (!base || !(click.length || scribble.length || box)) return;
  const fields = { click: click.join(" "), keep: keep.join(" "), scribble: scribble.join("|"), box };
  const more = grow === USUAL ? {} : { grow: Math.round(grow / 1000 * Math.max(base.width, base.height)) };
  ask({ ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value)), ...more }, true);
}

/** @param {number[]} points x and y in turn */
function pairs(points) {
  const { width, height } = /** @type {Base} */ (state.doc.base);
  const inside = (/** @type {number} */ value, /** @type {number} */ size) => Math.max(0, Math.min(size - 1, Math.round(value * 10) / 10));
  return Array.from({ length: points.length / 2 }, (_, at) => `${inside(points[2 * at], width)},${inside(points[2 * at + 1], height)}`);
}

/** @param {Stroke} stroke */
function done(stroke) {
  const points = stroke.tool === "rectangle" ? stroke.points : stroke.points.filter((_, at) => at % 3 < 2);
  const [x, y] = points;
  const [endX, endY] = points.slice(-2);
  const tapped = points.every((value, at) => Math.abs(value - [x, y][at % 2]) * view.scale <= TAP);
  if (mode === "new" || !going()) object = { asked: nothing(), stroke: null, base: state.doc.base };
  const { asked } = object;
  if (mode === "less") asked.keep.push(...(tapped ? pairs([x, y]) : pairs(points)));
  else if (tapped) asked.click.push(...pairs([x, y]));
  else if (stroke.tool === "rectangle") asked.box = [Math.min(x, endX), Math.min(y, endY), Math.max(x, endX), Math.max(y, endY)].map(Math.round).join(",");
  else asked.scribble.push(pairs(points).join(" "));
  askObject();
}

// ── beside the hint ─────────────────────────────────────────────────────────────────────────────────────────────────

/** @type {[string, () => void, (() => boolean)?][]} */
const BUTTONS = [
  ["selectNew", () => pickMode("new"), () => mode === "new"],
  ["selectMore", () => pickMode("more"), () => mode === "more"],
  ["selectLess", () => pickMode("less"), () => mode === "less"],
  ["selectText", () => ask({ text: true }, false)],
  ["selectDust", () => ask({ dust: true }, false)],
];
const slider = element("input", { type: "range", min: "-10", max: "30", step: "1", value: String(USUAL) });
const buttons = BUTTONS.map(() => element("button", { type: "button" }));
const panel = element("div", { className: "bar", id: "selecting" }, ...buttons.slice(0, 3), slider, ...buttons.slice(3));
BUTTONS.forEach(([, click], at) => buttons[at].addEventListener("click", () => { click(); show(); }));
slider.addEventListener("change", () => {
  grow = Number(slider.value);
  if (going()) askObject();
});

/** @param {Mode} next */
function pickMode(next) {
  mode = next;
}

function show() {
  BUTTONS.forEach(([name, , pressed], at) => {
    buttons[at].textContent = text(name);
    buttons[at].title = text(`${name}Title`);
    buttons[at].dataset.select = name;
    if (pressed) buttons[at].setAttribute("aria-pressed", String(pressed()));
  });
  slider.setAttribute("aria-label", text("selectGrow"));
  slider.title = text("selectGrow");
  return panel;
}

register({
  name: "select",
  key: "w",
  invites: "selectHint",
  icon: '<path d="m5 19 8.500-8.500M16 4v3m0 4v3m-5-5h3m4 0h3M12.500 5.500l1.500 1.500m4 4 1.500 1.500m0-7L18 7"/>',
  words: {
    en: {
      select: "Select an object by a click or a box",
      selectHint: "Click on what should go, or draw a box around it",
      selectNew: "Object", selectNewTitle: "Click on what should go, or draw a box around it",
      selectMore: "+", selectMoreTitle: "More of it: click or scribble on what belongs to it, too",
      selectLess: "−", selectLessTitle: "Less of it: click on what should stay",
      selectGrow: "Shrink or grow the selection",
      selectText: "Text", selectTextTitle: "Select all writing",
      selectDust: "Dust & scratches", selectDustTitle: "Select the dust and scratches of a scan",
    },
    zh: {
      select: "点击或框选物体",
      selectHint: "点击要去掉的东西，或在它周围画框",
      selectNew: "物体", selectNewTitle: "点击要去掉的东西，或在它周围画框",
      selectMore: "＋", selectMoreTitle: "增加：点击或涂抹也属于它的部分",
      selectLess: "－", selectLessTitle: "减少：点击要保留的部分",
      selectGrow: "缩小或扩大选区",
      selectText: "文字", selectTextTitle: "选中所有文字",
      selectDust: "灰尘和划痕", selectDustTitle: "选中扫描件上的灰尘和划痕",
    },
  },
  begin: ({ x, y }) => mode === "new" || !going()
    ? { tool: "rectangle", points: [x, y, x, y] } : { tool: "brush", points: [x, y, LINE / view.scale] },
  extend({ tool, points }, { x, y }) {
    if (tool === "rectangle") points.splice(2, 2, x, y);
    else points.push(x, y, LINE / view.scale);
  },
  done,
  panel: show,
});
