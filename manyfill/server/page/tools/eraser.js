// The eraser: a brush that takes away.

import { register } from "../tools.js";
import { LINE } from "./brush.js";

register({
  ...LINE,
  name: "eraser",
  key: "e",
  icon: '<path d="m8 19-4-4a1.5 1.5 0 0 1 0-2l8.5-8.5a1.5 1.5 0 0 1 2 0l5 5a1.5 1.5 0 0 1 0 2L12 19zm0 0h12M8.5 8.5l7 7"/>',
  words: { en: { eraser: "Eraser" }, zh: { eraser: "橡皮" } },
  begin: ({ x, y }, width) => ({ tool: "eraser", points: [x, y, width] }),
});
