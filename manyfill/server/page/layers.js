// Pictures that the stage puts on top of each other, of screen size: strokes, fills over their photo; and all of a
// fill's pixels where somebody looks closely.

import { bytes } from "./api.js";
import { COLOUR, boxOf, drawStrokes } from "./hole.js";
import { SHARP_PIXELS } from "./photo.js";
import { canvasOf, contextOf } from "./surfaces.js";
import { canvas, invalidate } from "./view.js";

const MOST_SHARP = 3 * 24e6; // pixels of the fills that are kept with all of theirs, four bytes each

/** A canvas of the screen's size for strokes, kept up with a list of them. */
export class Layer {
  constructor() {
    this.canvas = document.createElement("canvas");
    /** @type {Stroke[] | null} */
    this.strokes = null;
    /** @type {Base | null} */
    this.photo = null;
  }

  /**
   * @param {Stroke[]} strokes
   * @param {Base} photo
   */
  follow(strokes, photo) {
    if (this.strokes === strokes && this.photo === photo) return;
    const longer = this.photo === photo && this.strokes && strokes.length === this.strokes.length + 1
      && this.strokes.every((stroke, index) => stroke === strokes[index]);
    if (!longer) {
      this.canvas.width = photo.picture.width;
      this.canvas.height = photo.picture.height;
    }
    const layer = this.scaled(photo);
    drawStrokes(layer, longer ? strokes.slice(-1) : strokes, photo.width, photo.height);
    Object.assign(this, { strokes, photo });
  }

  /**
   * Its context, in the photo's pixels.
   * @param {Base} photo
   */
  scaled(photo) {
    const layer = contextOf(this.canvas);
    const share = photo.picture.width / photo.width;
    layer.setTransform(share, 0, 0, share, 0, 0);
    layer.fillStyle = layer.strokeStyle = `rgb(${COLOUR})`;
    return layer;
  }
}

/** @type {WeakMap<Fill, {of: Picture | null, canvas: HTMLCanvasElement}>} */
const composed = new WeakMap(); // made again when its picture gets better

/**
 * A fill over its photo at screen size: only the hole is taken from it, so that nothing else flickers.
 * @param {Fill} fill
 * @param {Run} run
 */
export function compose(fill, run) {
  const kept = composed.get(fill);
  if (kept?.of === fill.picture) return kept.canvas;
  const { picture, width, height } = run.base;
  const patch = document.createElement("canvas");
  const whole = document.createElement("canvas");
  patch.width = whole.width = picture.width;
  patch.height = whole.height = picture.height;
  const on = contextOf(patch);
  on.scale(picture.width / width, picture.height / height);
  drawStrokes(on, run.hole, width, height);
  const onWhole = contextOf(whole);
  onWhole.drawImage(picture, 0, 0);
  if (!fill.picture) return whole;
  onWhole.globalCompositeOperation = "destination-out";
  onWhole.drawImage(patch, 0, 0);
  on.setTransform(1, 0, 0, 1, 0, 0);
  on.globalCompositeOperation = "source-in";
  on.imageSmoothingQuality = "high";
  on.drawImage(fill.picture, 0, 0, picture.width, picture.height);
  onWhole.globalCompositeOperation = "lighter"; // soft edges of both add up to one
  onWhole.drawImage(patch, 0, 0);
  composed.set(fill, { of: fill.picture, canvas: whole });
  return whole;
}

/** @type {WeakMap<Stroke[], HTMLCanvasElement>} */
const edges = new WeakMap();

/**
 * The outline of a hole, at screen size.
 * @param {Stroke[]} hole
 * @param {Base} base
 */
export function edgeOf(hole, base) {
  const kept = edges.get(hole);
  if (kept) return kept;
  const shape = new Layer();
  shape.follow(hole, base);
  const edge = document.createElement("canvas");
  edge.width = shape.canvas.width;
  edge.height = shape.canvas.height;
  const on = contextOf(edge);
  const wide = Math.max(1, Math.round(Math.max(edge.width, edge.height) / 900));
  for (let at = 0; at < 8; at += 1) {
    on.drawImage(shape.canvas, wide * Math.cos(at * Math.PI / 4), wide * Math.sin(at * Math.PI / 4));
  }
  on.globalCompositeOperation = "destination-out";
  on.drawImage(shape.canvas, 0, 0);
  edges.set(hole, edge);
  return edge;
}

/**
 * The chosen fill with a region of another, about as the server will join them: for looking before taking.
 * @param {Fill} ours
 * @param {Fill} theirs
 * @param {Stroke[]} region
 * @param {Run} run
 */
export function composeMix(ours, theirs, region, run) {
  const kept = mixes.get(theirs);
  if (kept?.region === region && kept.ours === ours) return kept.canvas;
  const part = canvasOf(compose(theirs, run), Infinity);
  const on = contextOf(part);
  const shape = new Layer();
  shape.follow(region, run.base);
  on.globalCompositeOperation = "destination-in";
  on.drawImage(shape.canvas, 0, 0);
  const whole = canvasOf(compose(ours, run), Infinity);
  contextOf(whole).drawImage(part, 0, 0);
  mixes.set(theirs, { ours, region, canvas: whole });
  return whole;
}

/** @type {WeakMap<Fill, {ours: Fill, region: Stroke[], canvas: HTMLCanvasElement}>} */
const mixes = new WeakMap();

/**
 * Whether a region reaches into the hole, and out of it.
 * @param {Stroke[]} region
 * @param {Stroke[]} hole
 * @param {Base} base
 */
export function reachOf(region, hole, base) {
  const [one, other] = [region, hole].map((strokes) => {
    const shape = new Layer();
    shape.follow(strokes, base);
    return contextOf(shape.canvas).getImageData(0, 0, shape.canvas.width, shape.canvas.height).data;
  });
  let [inside, outside] = [0, 0];
  for (let at = 3; at < one.length; at += 4) {
    if (one[at] < 128) continue;
    if (other[at] < 128) outside += 1;
    else inside += 1;
  }
  return { inside: inside > 0, outside: outside > 0.1 * inside };
}

/** @type {Fill[]} */
const sharpened = []; // fills whose pixels are all here, the latest last
let sharpening = 0; // fills whose pixels are on the way: what is seen will change by itself

/**
 * Looking closely at a fill: fetch all of its pixels, decoded once and for all, away from the thread that draws. Those
 * of a few fills are kept, for going to and fro between them.
 * @param {Fill} fill
 * @param {Base} base
 */
export async function sharpen(fill, base) {
  if (fill.sharp !== undefined || !fill.path || base.width * base.height > SHARP_PIXELS) return;
  fill.sharp = null; // once
  canvas.setAttribute("aria-busy", (sharpening += 1) > 0);
  fill.sharp = await bytes(fill.path).then((blob) => createImageBitmap(blob)).catch(() => null);
  canvas.setAttribute("aria-busy", (sharpening -= 1) > 0);
  if (fill.sharp) sharpened.push(fill);
  while (sharpened.length > 1 && sharpened.length * base.width * base.height > MOST_SHARP) {
    const earlier = /** @type {Fill} */ (sharpened.shift());
    earlier.sharp?.close();
    delete earlier.sharp;
  }
  invalidate();
}

/**
 * A part of a composed picture around the hole, for a thumbnail of this shape (width / height).
 * @param {Stroke[]} strokes
 * @param {Size} photo
 * @param {number} shape
 */
export function cropAround(strokes, photo, shape) {
  const { width, height } = photo;
  const box = boxOf(strokes, width, height) ?? { left: 0, top: 0, right: width, bottom: height };
  const least = 0.2 * Math.max(width, height);
  let wide = Math.max(1.35 * (box.right - box.left), least);
  let high = Math.max(1.35 * (box.bottom - box.top), least / shape);
  if (wide / high < shape) wide = high * shape;
  else high = wide / shape;
  const shrink = Math.min(1, width / wide, height / high);
  [wide, high] = [wide * shrink, high * shrink];
  const left = Math.min(width - wide, Math.max(0, (box.left + box.right - wide) / 2));
  const top = Math.min(height - high, Math.max(0, (box.top + box.bottom - high) / 2));
  return { left, top, width: wide, height: high };
}
