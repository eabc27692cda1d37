// Files for people: the chosen fill at full size, as a download, on the clipboard or to share; the hole as a mask.

import { state } from "./state.js";
import * as api from "./api.js";
import { toPng } from "./png.js";
import { busyWith, note, report, say } from "./problems.js";
import { withFills } from "./remaking.js";
import { text } from "./strings.js";

/**
 * A fill's file at full size, with the photo's metadata: the server's bytes, not the screen's. "png" keeps every pixel;
 * "same" is the photo's own format, compressed once, whatever was done before.
 * @param {Fill} fill
 * @param {string} format
 * @param {AbortSignal} signal
 */
export function fileOf(fill, format, signal) {
  const query = format === "same" ? "?format=same" : "";
  return withFills([fill], () => api.bytes(`${fill.path}${query}`, signal), signal);
}

/**
 * @param {Base} root
 * @param {string} format
 */
export function fileName(root, format) {
  const [, stem, suffix] = /^(.*?)(?:\.(\w+))?$/.exec(root.name) ?? [];
  return `${stem || "photo"}_filled.${format === "png" ? "png" : suffix ?? root.kind}`;
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(text("saved", { name }));
}

/** Do something with the chosen fill. @returns {Fill | null} */
function chosenFill() {
  const { chosen } = state.doc;
  if (chosen?.path) return chosen;
  report("needFill");
  return null;
}

export async function download(format = "same") {
  const fill = chosenFill();
  if (!fill) return;
  await busyWith("save", async (signal) => {
    const { root } = fill.run.base;
    save(await fileOf(fill, format, signal), fileName(root, format));
  }, () => download(format));
}

/** Put the chosen fill on the clipboard, as PNG: browsers take no other kind. */
export async function copy() {
  const fill = chosenFill();
  if (!fill) return;
  if (!navigator.clipboard?.write) { // only pages of this machine, or by https, may write there
    report("noClipboard");
    return;
  }
  await busyWith("save", async (signal) => {
    const file = fileOf(fill, "png", signal);
    await navigator.clipboard.write([new ClipboardItem({ "image/png": file })]);
    note(text("copied"));
  }, copy);
}

/** Whether the device has a sheet for sharing files. */
export function shares() {
  const probe = new File([""], "photo.jpg", { type: "image/jpeg" });
  return Boolean(navigator.canShare?.({ files: [probe] }));
}

export async function share() {
  const fill = chosenFill();
  if (!fill) return;
  await busyWith("save", async (signal) => {
    const { root } = fill.run.base;
    const blob = await fileOf(fill, "same", signal);
    const file = new File([blob], fileName(root, "same"), { type: blob.type });
    await navigator.share({ files: [file] });
  }, share);
}

/** The hole as a picture of the photo's size, white where to fill: to be loaded again, here or anywhere. */
export async function saveMask() {
  const { base, hole } = state.doc;
  if (!base) return;
  await busyWith("save", async () => {
    const mask = await toPng(hole, base.width, base.height);
    if (!mask.count) throw "needHole";
    save(mask.blob, `${base.root.name.replace(/\.\w+$/, "")}_mask.png`);
  });
}
