// How far fills are that are on their way: in words, as a bar, and by the clock.

import { $ } from "./dom.js";
import { changed, state } from "./state.js";
import { text } from "./strings.js";

const TICK_MILLISECONDS = 1000;
let ticking = 0;

/**
 * What the server does for fills that are on their way, and for how long.
 * @param {Live} live
 */
export function wordsOfLive(live) {
  const { stage, ahead, done, of, ready, total } = live;
  const words = {
    sent: text("sent"),
    queued: ahead ? text("queued", { ahead }) : text("openedStage"),
    opened: text("openedStage"),
    fill: text("sketching", { done: Math.min(of, done + 1), total: of }),
    rank: text("working"),
    texture: text("finishing", { number: Math.min(total, ready + 1), total }),
  }[stage];
  const left = leftOf(live);
  if (left === null) return words;
  const time = left < 90 ? text("aboutSeconds", { seconds: left }) : text("aboutMinutes", { minutes: Math.round(left / 60) });
  return `${words.replace(/\s*…+$/, "")} · ${time}`;
}

/**
 * Seconds that are left, as far as is known.
 * @param {Live} live
 */
function leftOf({ until }) {
  const left = until === null ? 0 : Math.ceil((until - performance.now()) / 1000);
  return left > 0 ? left : null;
}

/** A share of all that is to be done, about: sketches are the first third, each fill has its part of the rest. */
function shareOf(/** @type {Live} */ { stage, done, of, ready, total }) {
  if (ready) return (1 + (2 * ready) / total) / 3;
  if (stage === "fill" && of) return done / of / 3;
  if (stage === "rank" || stage === "texture") return 1 / 3 + (of && stage === "texture" ? (2 / 3) * (done / of) : 0);
  return 0;
}

export function renderProgress() {
  const live = state.doc.run?.live;
  const bar = $("#progress");
  bar.hidden = !live || state.tasks.length > 0;
  if (!live) return;
  const percent = Math.round(100 * shareOf(live));
  bar.firstElementChild.style.width = `${percent}%`;
  bar.setAttribute("aria-valuenow", String(percent));
  bar.setAttribute("aria-valuetext", wordsOfLive(live));
  if (live.until !== null && !ticking) {
    ticking = window.setTimeout(() => {
      ticking = 0;
      changed();
    }, TICK_MILLISECONDS);
  }
}

/** Whether fills are on their way that this hole does not show. */
export function liveElsewhere() {
  const shown = state.doc.run;
  const docs = [...state.album.flatMap(({ doc }) => doc ?? []), state.doc, ...state.past.map(({ doc }) => doc), ...state.future.map(({ doc }) => doc)];
  return docs.some(({ runs }) => runs.some((run) => run.live && run !== shown));
}
