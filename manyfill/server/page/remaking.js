// Fills that the server no longer has, after a restart or an hour: photo, hole and seed give the very same again.

import * as api from "./api.js";
import { toPng } from "./png.js";

/**
 * Ask for fills of a photo, which is sent only where the server does not have it. Yields the events of api.fills.
 * @param {Base} base
 * @param {Record<string, any>} fields
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<any>}
 */
export async function* fillsOf(base, fields, signal) {
  try {
    yield* api.fills({ ...await imageOf(base, signal), ...fields }, signal);
  } catch (error) {
    if (!expired(error)) throw error;
    if (base.origin) await remake(base.origin, signal);
    base.result = null;
    yield* api.fills({ ...await imageOf(base, signal), ...fields }, signal);
  }
}

/**
 * Ask something about a photo, which is sent only where the server does not have it.
 * @template Answer
 * @param {Base} base
 * @param {(image: Record<string, any>) => Promise<Answer>} ask
 * @param {AbortSignal} signal
 * @returns {Promise<Answer>}
 */
export async function withPhoto(base, ask, signal) {
  try {
    return await ask(await imageOf(base, signal));
  } catch (error) {
    if (!expired(error)) throw error;
    if (base.origin) await remake(base.origin, signal);
    base.result = null;
    return ask(await imageOf(base, signal));
  }
}

/**
 * A photo's larger canvas, under a name that the server keeps; the same again from the same photo.
 * @param {Base} of
 * @param {Margins} by
 * @param {AbortSignal} signal
 * @returns {Promise<string>}
 */
export async function canvasOn(of, { top, right, bottom, left }, signal) {
  const extend = [top, right, bottom, left].join(",");
  return (await withPhoto(of, (image) => api.canvas({ ...image, extend }, signal), signal)).image_result;
}

/**
 * @param {Base} base
 * @param {AbortSignal} signal
 * @returns {Promise<Record<string, any>>}
 */
async function imageOf(base, signal) {
  if (base.origin?.path) return { image_result: api.nameOf(base.origin.path) };
  if (!base.result && base.larger) base.result = await canvasOn(base.larger.of, base.larger.by, signal);
  return base.result ? { image_result: base.result } : { image: base.blob };
}

/**
 * Do something with files of fills; where the server no longer has one, they are asked for again first.
 * @template Done
 * @param {Fill[]} fills
 * @param {() => Promise<Done>} work
 * @param {AbortSignal} signal
 * @returns {Promise<Done>}
 */
export async function withFills(fills, work, signal) {
  try {
    return await work();
  } catch (error) {
    if (!expired(error)) throw error;
    for (const fill of fills) await remake(fill, signal);
    return work();
  }
}

/**
 * Let the server make a fill again; its address is new, its pixels are not.
 * @param {Fill} fill
 * @param {AbortSignal} signal
 */
async function remake(fill, signal) {
  const { run, seed, diversity, model, near, step, mixed } = fill;
  if (mixed) {
    fill.path = (await mix(mixed.ours, mixed.theirs, mixed.region, signal)).path;
    return;
  }
  const mask = (await toPng(run.hole, run.base.width, run.base.height)).blob;
  const fields = { mask, n: 1, seed, diversity, model, near, step, uncertainty: false, partial_images: 0 };
  for await (const event of fillsOf(run.base, fields, signal)) {
    if (event.kind === "progress" && event.image_result) run.base.result = event.image_result;
    if (event.kind === "completed") fill.path = api.pathOf(event.url);
  }
}

/**
 * A fill with a region of another; the server closes the seam.
 * @param {Fill} ours
 * @param {Fill} theirs
 * @param {Strokes} region
 * @param {AbortSignal} signal
 */
export async function mix(ours, theirs, region, signal) {
  const { width, height } = ours.run.base;
  const mask = (await toPng(region, width, height)).blob;
  const answer = await withFills([ours, theirs], () => api.merge({
    image_result: api.nameOf(ours.path ?? ""), other_result: api.nameOf(theirs.path ?? ""), mask,
  }, signal), signal);
  return { path: api.pathOf(answer.url), preview: api.pathOf(answer.preview_url) };
}

/** @param {any} error */
function expired(error) {
  return error?.code === "result_expired";
}
