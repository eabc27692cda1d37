// The public HTTP interface, as any other program calls it: /healthz, /v1/models, /v1/images/edits, /merge and /preview, results.

import { state } from "./state.js";

/** What the server, or the way to it, answered instead of a picture. */
export class Problem extends Error {
  constructor(message, { code = null, status = 0, retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { code, status, retryAfter });
  }
}

async function call(path, { body, signal } = {}) {
  const headers = state.token ? { Authorization: `Bearer ${state.token}` } : {};
  let response;
  try {
    response = await fetch(path, { method: body ? "POST" : "GET", body, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("", { code: "no_connection" });
  }
  if (!response.ok && path !== "healthz") throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  const error = await response.json().then((body) => body.error ?? {}, () => ({}));
  return new Problem(error.message ?? "", {
    code: error.code ?? null,
    status: response.status,
    retryAfter: Number(response.headers.get("Retry-After")) || null,
  });
}

export async function health() {
  return (await call("healthz")).json();
}

export async function models() {
  return (await (await call("v1/models")).json()).data.map((model) => model.id);
}

function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || value === undefined) continue;
    if (value instanceof Blob) form.append(name, value, value.name || name);
    else form.append(name, String(value));
  }
  return form;
}

/**
 * Ask for fills. Yields {kind: "partial" | "completed" | "uncertainty", ...the event's data} as they arrive; the
 * pictures are PNG, which keeps every pixel that is not filled, and stay on the server until they are fetched.
 */
export async function* fills(fields, signal) {
  const body = formOf({
    response_format: "url", output_format: "png", stream: true, partial_images: 1, uncertainty: true, ...fields,
  });
  const response = await call("v1/images/edits", { body, signal });
  for await (const { event, data } of events(response.body)) {
    if (event === "error") {
      const { message, code } = data.error;
      throw new Problem(message, { code });
    }
    yield { kind: event.replace(/^image_edit\.(partial_image$)?/, (_, partial) => (partial ? "partial" : "")), ...data };
  }
}

/** Server-sent events of a response's body. */
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        if (error.name === "AbortError") throw error;
        throw new Problem("", { code: "no_connection" });
      });
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
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

/** `image` with the region in `mask` taken from `other`; the answer's first picture. */
export async function merge(fields, signal) {
  const response = await call("v1/images/merge", { body: formOf({ response_format: "url", ...fields }), signal });
  return (await response.json()).data[0];
}

/** A photo as a browser can show it, small: {image, width, height}; the size is the photo's own. */
export async function preview(image, signal) {
  const answer = await (await call("v1/images/preview", { body: formOf({ image }), signal })).json();
  const bytes = Uint8Array.from(atob(answer.data[0].b64_json), (letter) => letter.charCodeAt(0));
  const [width, height] = answer.size.split("x").map(Number);
  return { image: new Blob([bytes], { type: `image/${answer.output_format}` }), width, height };
}

/** Where a result lies, from this page: a proxy may call the server by another name than we do. */
export function pathOf(url) {
  return new URL(url).pathname.replace(/^.*?\/results\//, "results/");
}

/** A result's name, by which the server finds it again. */
export function nameOf(path) {
  return path.replace(/^results\//, "");
}

/** A result's bytes. */
export async function bytes(path, signal) {
  return (await call(path, { signal })).blob();
}
