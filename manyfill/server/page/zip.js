// Several files in one: a ZIP archive, stored as they are, because pictures are compressed already.

import { crc } from "./png.js";

const ENCODER = new TextEncoder();
const UTF8 = 0x0800; // names are in UTF-8

/**
 * @param {{name: string, blob: Blob}[]} files
 * @returns {Promise<Blob>}
 */
export async function zipOf(files) {
  /** @type {BlobPart[]} */
  const parts = [];
  const directory = [];
  const names = new Set();
  let at = 0;
  for (const file of files) {
    const name = ENCODER.encode(unused(file.name, names));
    const sum = crc(new Uint8Array(await file.blob.arrayBuffer()));
    const about = [20, UTF8, 0, 0, 0x21, sum, file.blob.size, file.blob.size, name.length, 0];
    const head = numbers([4, 2, 2, 2, 2, 2, 4, 4, 4, 2, 2], [0x04034b50, ...about]);
    parts.push(head, name, file.blob);
    directory.push(numbers([4, 2, 2, 2, 2, 2, 2, 4, 4, 4, 2, 2, 2, 2, 2, 4, 4], [0x02014b50, 20, ...about, 0, 0, 0, 0, at]), name);
    at += head.length + name.length + file.blob.size;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = numbers([4, 2, 2, 2, 2, 4, 4, 2], [0x06054b50, 0, 0, files.length, files.length, size, at, 0]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/**
 * Little-endian numbers of these sizes in bytes.
 * @param {number[]} sizes
 * @param {number[]} values
 */
function numbers(sizes, values) {
  const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  sizes.forEach((size, index) => {
    for (let byte = 0; byte < size; byte += 1) bytes[at++] = values[index] / 2 ** (8 * byte);
  });
  return bytes;
}

/**
 * A name that no other file of the archive has.
 * @param {string} name
 * @param {Set<string>} taken
 */
function unused(name, taken) {
  let free = name;
  for (let number = 2; taken.has(free); number += 1) free = name.replace(/(\.\w+)?$/, ` ${number}$1`);
  taken.add(free);
  return free;
}
