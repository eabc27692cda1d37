// The page stays to hand while its server is gone: a service worker keeps its files (worker.js), where browsers allow one.

/** Browsers allow it to pages of this machine and under https; elsewhere the page simply needs its server to open. */
export function startOffline() {
  navigator.serviceWorker?.register("worker.js").catch(() => {});
}
