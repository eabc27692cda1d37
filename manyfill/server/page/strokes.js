// How strokes come about: begun, extended and ended by a pointer or by the keyboard, with the tool that is picked.

import { state, set, step } from "./state.js";
import { drawLine } from "./hole.js";
import { Layer } from "./layers.js";
import { TOOLS } from "./tools.js";
import { brushWidth, invalidate, stage } from "./view.js";

export const layer = new Layer();

/**
 * The stroke under way.
 * @type {{stroke: Stroke, tool: Tool, drawn: number, pointer: number | null, began: number} | null}
 */
export let drawing = null;

/** @type {Point | null} */
export let keyCursor = null; // in photo pixels, while painting by keyboard

/**
 * Whether strokes go to the hole or to a region of the chosen fill.
 * @returns {"hole" | "region"}
 */
export function edited() {
  return state.doc.chosen ? "region" : "hole";
}

/** @returns {Tool} */
export function pickedTool() {
  return /** @type {Tool} */ (TOOLS.get(state.tool));
}

/**
 * Pick a tool by its name.
 * @param {string} name
 */
export function pick(name) {
  if (name === state.tool || !TOOLS.has(name)) return;
  pickedTool().leave?.();
  set({ tool: name });
  pickedTool().start?.();
}

/**
 * Add to what is painted, as a step that can be undone.
 * @param {Stroke} stroke
 */
export function add(stroke) {
  const which = edited();
  step({ [which]: [...state.doc[which], stroke] });
}

/**
 * @param {Point} at
 * @param {{pointer?: number | null, pressure?: number | null}} how
 */
export function begin(at, { pointer = null, pressure = null } = {}) {
  const tool = pickedTool();
  const { base } = state.doc;
  if (!base) return;
  layer.follow(state.doc[edited()], base);
  drawing = { stroke: tool.begin(at, widthAt(pressure)), tool, drawn: 0, pointer, began: performance.now() };
  showDrawing();
  paintOn();
}

/**
 * @param {Point} at
 * @param {number | null} pressure
 */
export function extend(at, pressure = null) {
  drawing?.tool.extend(drawing.stroke, at, widthAt(pressure));
}

/** What floats over the stage gives way to a stroke. */
function showDrawing() {
  stage.classList.toggle("drawing", drawing !== null);
}

/** Draw what the line under way has gained since the last frame. */
export function paintOn() {
  if (drawing?.tool.live && state.doc.base) {
    const { stroke, drawn } = drawing;
    const on = layer.scaled(state.doc.base);
    on.globalCompositeOperation = stroke.tool === "eraser" ? "destination-out" : "source-over";
    drawLine(on, stroke.points, drawn);
    on.globalCompositeOperation = "source-over";
    drawing.drawn = stroke.points.length / 3;
  }
  invalidate();
}

export function end() {
  if (!drawing) return;
  const { stroke, tool } = drawing;
  const which = edited();
  drawing = null;
  showDrawing();
  const empty = tool.isEmpty?.(stroke) || (stroke.tool === "eraser" && !state.doc[which].length);
  if (!empty) {
    stroke.points = stroke.points.map((value) => Math.round(value * 10) / 10);
    if (tool.done) {
      tool.done(stroke);
    } else {
      const strokes = [...state.doc[which], stroke];
      if (tool.live) layer.strokes = strokes; // it is there already
      step({ [which]: strokes });
    }
  }
  set({ penDown: false });
  invalidate();
}

export function cancel() {
  if (!drawing) return;
  drawing = null;
  showDrawing();
  layer.strokes = null;
  set({ penDown: false });
  invalidate();
}

/** @param {number | null} pressure */
function widthAt(pressure) {
  return brushWidth() * (pressure === null ? 1 : 0.35 + 0.65 * pressure);
}

// ── by keyboard ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Arrow keys move a brush; with the pen down it paints. Returns whether the key was one of them.
 * @param {string} key
 */
export function arrow(key, { far = false } = {}) {
  if (!ARROWS[key] || !state.doc.base) return false;
  const { width, height } = state.doc.base;
  const reach = Math.max(width, height) * (far ? 0.06 : 0.015);
  const [x, y] = ARROWS[key];
  const from = keyCursor ?? { x: width / 2, y: height / 2 };
  keyCursor = {
    x: Math.min(width, Math.max(0, from.x + x * reach)),
    y: Math.min(height, Math.max(0, from.y + y * reach)),
  };
  if (drawing) {
    extend(keyCursor);
    paintOn();
  }
  invalidate();
  return true;
}

/** Put the pen down where the arrow keys have brought it, or lift it. */
export function togglePen() {
  if (!state.doc.base) return;
  if (drawing) {
    end();
    return;
  }
  keyCursor ??= { x: state.doc.base.width / 2, y: state.doc.base.height / 2 };
  begin(keyCursor);
  set({ penDown: true });
}

/** Leave a stroke unfinished. Returns whether there was one. */
export function dropStroke() {
  const had = drawing !== null;
  cancel();
  keyCursor = had ? keyCursor : null;
  invalidate();
  return had;
}

/** A pointer takes over from the keyboard. */
export function forgetKeyCursor() {
  keyCursor = null;
}
