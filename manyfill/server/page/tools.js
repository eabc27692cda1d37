// The tools of the stage. A tool is one file of tools/ that registers itself: see `Tool` in types.d.ts, tools/rectangle.js
// for a short one, and the list in tools/index.js, which is the only other place that names it.

import { addWords } from "./strings.js";

/** @type {Map<string, Tool>} */
export const TOOLS = new Map();

/**
 * Add a tool; its button comes after those that are there.
 * @param {Tool} tool
 */
export function register(tool) {
  TOOLS.set(tool.name, tool);
  addWords(tool.words);
}
