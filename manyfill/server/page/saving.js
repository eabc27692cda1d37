// Files for people: the chosen fill at full size.

import { state } from "./state.js";
import * as api from "./api.js";
import { toPng } from "./png.js";
import { busyWith, report, say } from "./problems.js";
import { text } from "./strings.js";

/**
 * Save the chosen fill at full size, with the photo's metadata: the server's bytes, not the screen's. "png" as it is;
 * "same" pastes it into the photo as it was opened, so that a JPEG is compressed once, whatever was done before.
 */
export async function download(format = "same") {
  const { base, run, chosen } = state.doc;
  if (!chosen?.path) {
    report("needFill");
    return;
  }
  await busyWith("save", async (signal) => {
    const { root } = base;
    const same = format === "same" && root.kind !== "png";
    let blob = await api.bytes(same && run?.whole ? `${chosen.path}?format=same` : chosen.path, signal);
    if (same && !run?.whole) { // a fill of a fill that was sent as PNG: it goes into the photo as it was opened
      const everything = { tool: "rectangle", points: [0, 0, root.width, root.height] };
      const mask = (await toPng([everything], root.width, root.height)).blob;
      const answer = await api.merge({ image: root.blob, other: blob, mask, output_format: "same" }, signal);
      blob = await api.bytes(api.pathOf(answer.url), signal);
    }
    const name = fileName(root, format);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    say(text("saved", { name }));
  }, () => download(format));
}

function fileName(root, format) {
  const [, stem, suffix] = /^(.*?)(?:\.(\w+))?$/.exec(root.name);
  return `${stem || "photo"}_filled.${format === "png" ? "png" : suffix ?? root.kind}`;
}
