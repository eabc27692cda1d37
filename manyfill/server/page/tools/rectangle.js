// The rectangle, from corner to corner.

import { register } from "../tools.js";

register({
  name: "rectangle",
  key: "r",
  icon: '<path d="M4 8V6a1 1 0 0 1 1-1h2m3.5 0h3M17 5h2a1 1 0 0 1 1 1v2m0 3v2m0 3v2a1 1 0 0 1-1 1h-2m-3.5 0h-3M7 19H5a1 1 0 0 1-1-1v-2m0-3v-2"/>',
  words: { en: { rectangle: "Rectangle" }, zh: { rectangle: "矩形" } },
  begin: ({ x, y }) => ({ tool: "rectangle", points: [x, y, x, y] }),
  extend: ({ points }, { x, y }) => points.splice(2, 2, x, y),
  isEmpty: ({ points: [left, top, right, bottom] }) => left === right || top === bottom,
});
