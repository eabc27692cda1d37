// The brush: lines as wide as the slider says, or as a pen presses.

import { register } from "../tools.js";
import { view } from "../view.js";

/** @type {Omit<Tool, "name" | "icon" | "words">} */
export const LINE = {
  sized: true,
  live: true,
  begin: ({ x, y }, width) => ({ tool: "brush", points: [x, y, width] }),
  extend({ points }, { x, y }, width) {
    const [lastX, lastY] = points.slice(-3);
    if (Math.hypot(x - lastX, y - lastY) > 0.3 / view.scale) points.push(x, y, width);
  },
};

register({
  ...LINE,
  name: "brush",
  key: "b",
  icon: '<path d="M19.5 4.5c-1-1-9 5-10.5 7.5l3 3c2.5-1.5 8.5-9.5 7.5-10.5zM8.5 13c-2 0-3 1.5-3 3.2 0 1.3-.8 2.3-2 2.8 3.5 1.3 8 .5 8-3"/>',
  words: { en: { brush: "Brush" }, zh: { brush: "画笔" } },
});
