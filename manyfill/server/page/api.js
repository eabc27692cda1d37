// The public HTTP interface, as any other program calls it: /healthz, /v1/models, /v1/images/edits, /merge and /preview, results.

import { state } from "./state.js";

/** What the server, or the way to it, answered instead of a picture. */
export class Problem extends Error {
  /**
   * @param {string} message
   * @param {{code?: string | null, status?: number, retryAfter?: number | null}} about
   */
  constructor(message, { code = null, status = 0, retryAfter = null } = {}) {
    super(message);
    /** @type {string | null} */
    this.code = code;
    this.status = status;
    /** @type {number | null} */
    this.retryAfter = retryAfter;
  }
}

/**
 * Ask the server, with its token. Throws a Problem for whatever is no answer.
 * @param {string} path
 * @param {{body?: FormData, signal?: AbortSignal}} request POST where there is a body, else GET
 */
export async function call(path, { body, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = state.token ? { Authorization: `Bearer ${state.token}` } : {};
  /** @type {Response} */
  let response;
  try {
    response = await fetch(path, { method: body ? "POST" : "GET", body, headers, signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem("", { code: "no_connection" });
  }
  if (!response.ok && path !== "healthz") throw await problemOf(response);
  return response;
}

/** @param {Response} response */
async function problemOf(response) {
  const error = await response.json().then((body) => body.error ?? {}, () => ({}));
  return new Problem(error.message ?? "", {
    code: error.code ?? null,
    status: response.status,
    retryAfter: Number(response.headers.get("Retry-After")) || null,
  });
}

/** @returns {Promise<ServerHealth>} */
export async function health() {
  return (await call("healthz")).json().catch(() => { throw new Problem("", { code: "no_connection" }); }); // a proxy's word
}

/** @returns {Promise<string[]>} */
export async function models() {
  return (await (await call("v1/models")).json()).data.map((/** @type {{id: string}} */ model) => model.id);
}

/**
 * A multipart form; fields that are null or undefined are left away.
 * @param {Record<string, any>} fields
 */
export function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || value === undefined) continue;
    if (value instanceof Blob) form.append(name, value, value instanceof File && value.name ? value.name : name);
    else form.append(name, String(value));
  }
  return form;
}

/**
 * Ask for fills. Yields {kind: "progress" | "partial" | "completed" | "uncertainty", ...the event's data} as they arrive;
 * the files are made when they are fetched: PNG, which keeps every pixel that is not filled.
 * @param {Record<string, any>} fields
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<any>}
 */
export async function* fills(fields, signal) {
  const body = formOf({
    response_format: "url", output_format: "png", stream: true, partial_images: 1, uncertainty: true, progress: true, ...fields,
  });
  const response = await call("v1/images/edits", { body, signal });
  if (!response.body) return;
  for await (const { event, data } of events(response.body, signal)) {
    if (event === "error") {
      const { message, code } = data.error;
      throw new Problem(message, { code });
    }
    const kind = event.replace("image_edit.", "");
    yield { kind: kind === "partial_image" ? "partial" : kind, ...data };
  }
}

/**
 * Server-sent events of a response's body.
 * @param {ReadableStream<Uint8Array>} stream
 * @param {AbortSignal} signal
 */
async function* events(stream, signal) {
  const decoder = /** @type {TransformStream<Uint8Array, string>} */ (/** @type {unknown} */ (new TextDecoderStream()));
  const reader = stream.pipeThrough(decoder).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        if (signal.aborted) throw error;
        throw new Problem("", { code: "no_connection" });
      });
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = /^event: (.*)$/m.exec(block)?.[1];
        const data = /^data: (.*)$/m.exec(block)?.[1];
        if (event && data) yield { event, data: JSON.parse(data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * `image` with the region in `mask` taken from `other`; the answer's first picture.
 * @param {Record<string, any>} fields
 * @param {AbortSignal} [signal]
 */
export async function merge(fields, signal) {
  const response = await call("v1/images/merge", { body: formOf({ response_format: "url", ...fields }), signal });
  return (await response.json()).data[0];
}

/**
 * What is to go, as a mask: {mask, image_result, notes}; the name is the photo's, where it was sent.
 * @param {Record<string, any>} fields
 * @param {AbortSignal} [signal]
 */
export async function select(fields, signal) {
  const answer = await (await call("v1/images/select", { body: formOf(fields), signal })).json();
  const bytes = Uint8Array.from(atob(answer.mask), (letter) => letter.charCodeAt(0));
  return { ...answer, mask: new Blob([bytes], { type: "image/png" }) };
}

/**
 * A photo on a larger canvas: {image_result, size, left, top, ...}, to be filled by that name.
 * @param {Record<string, any>} fields
 * @param {AbortSignal} [signal]
 */
export async function canvas(fields, signal) {
  return (await call("v1/images/canvas", { body: formOf(fields), signal })).json();
}

/**
 * A photo as a browser can show it, small: {image, width, height}; the size is the photo's own.
 * @param {Blob} image
 * @param {AbortSignal} [signal]
 */
export async function preview(image, signal) {
  const answer = await (await call("v1/images/preview", { body: formOf({ image }), signal })).json();
  const bytes = Uint8Array.from(atob(answer.data[0].b64_json), (letter) => letter.charCodeAt(0));
  const [width, height] = answer.size.split("x").map(Number);
  return { image: new Blob([bytes], { type: `image/${answer.output_format}` }), width, height };
}

/**
 * Where a result lies, from this page: a proxy may call the server by another name than we do.
 * @param {string} url
 */
export function pathOf(url) {
  return new URL(url).pathname.replace(/^.*?\/results\//, "results/");
}

/**
 * A result's name, by which the server finds it again.
 * @param {string} path
 */
export function nameOf(path) {
  return path.replace(/^results\//, "");
}

/**
 * A result's bytes.
 * @param {string} path
 * @param {AbortSignal} [signal]
 */
export async function bytes(path, signal) {
  return (await call(path, { signal })).blob();
}

/**
 * Where a result is copied from.
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<Origins>}
 */
export async function origins(path, signal) {
  return (await call(`${path}/origins`, { signal })).json();
}
