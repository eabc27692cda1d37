// A part of one fill in another.

import { state, set, step } from "./state.js";
import { newKey } from "./filling.js";
import * as api from "./api.js";
import { reachOf } from "./layers.js";
import { busyWith, note, report, say } from "./problems.js";
import { mix } from "./remaking.js";
import { text } from "./strings.js";

/**
 * The region of the chosen fill as another fill has it.
 * @param {Fill} other
 */
export async function takeFrom(other) {
  const { run, chosen, region } = state.doc;
  if (!run || !chosen?.path || !other.path) return;
  const reach = reachOf(region, run.hole, run.base);
  if (!reach.inside) {
    report("outsideHole"); // the fills are the same there: the photo
    return;
  }
  await busyWith("merge", async (signal) => {
    const { path, preview: small } = await mix(chosen, other, region, signal);
    const preview = await api.bytes(small, signal);
    const { seed, diversity, model } = chosen;
    /** @type {Fill} */
    const mixed = {
      key: newKey(), run, seed, diversity, model, score: null, path, preview,
      mixed: { ours: chosen, theirs: other, region }, picture: await createImageBitmap(preview),
    };
    run.fills = [...run.fills, mixed];
    set({ peek: null, mix: null });
    step({ chosen: mixed, region: [] });
    if (reach.outside) note(text("partlyOutside"));
    else say(text("sentReady", { number: run.fills.length }));
  }, () => takeFrom(other));
}
