// The lasso: what a line goes around.

import { register } from "../tools.js";

register({
  name: "lasso",
  key: "l",
  icon: '<path d="M7 15.5c-2.5-1-4-2.7-4-4.7C3 7.6 7 5 12 5s9 2.6 9 5.8-4 5.8-9 5.8c-1 0-1.7-.1-2.5-.2M9.5 15.7a2 2 0 1 1-4 0 2 2 0 0 1 4 0zm-2 2c0 1.5-.7 2.3-2 3"/>',
  words: { en: { lasso: "Lasso" }, zh: { lasso: "套索" } },
  begin: ({ x, y }) => ({ tool: "lasso", points: [x, y] }),
  extend: ({ points }, { x, y }) => points.push(x, y),
  isEmpty: ({ points }) => points.length < 6,
});
