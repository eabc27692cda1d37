// The page opens while its server is gone: this service worker keeps its files, and hands them out where the server does
// not answer. As long as it does, its own are taken; nothing that it says (fills, health) is ever kept. Not a module:
// the server puts SHELL before it, the page's files and their version (shell.py).

/** @type {any} the worker's scope, which is not among the types of a page */
const worker = self;
const MINE = `manyfill ${worker.registration.scope} `;
const NAME = MINE + SHELL.version;
const GONE = [502, 503, 504]; // what a proxy says of a server that is not there

worker.addEventListener("install", (/** @type {any} */ event) => {
  const files = SHELL.files.map((name) => new Request(name, { cache: "reload" }));
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(files)).then(() => worker.skipWaiting()));
});

worker.addEventListener("activate", (/** @type {any} */ event) => {
  event.waitUntil(caches.keys().then((names) => Promise.all(
    names.filter((name) => name.startsWith(MINE) && name !== NAME).map((name) => caches.delete(name)),
  )));
});

worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  const scope = new URL(worker.registration.scope);
  const path = pathname.slice(scope.pathname.length).replace(/^(index\.html)?$/, "./");
  if (request.method !== "GET" || origin !== scope.origin || !pathname.startsWith(scope.pathname) || !SHELL.files.includes(path)) return;
  event.respondWith(answer(request, path));
});

/**
 * @param {Request} request
 * @param {string} path
 */
async function answer(request, path) {
  const fresh = await fetch(request).catch(() => null);
  if (fresh && !GONE.includes(fresh.status)) return fresh;
  const kept = await (await caches.open(NAME)).match(path);
  return kept ?? fresh ?? Response.error();
}
