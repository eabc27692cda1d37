// Draws all of the page but the canvas and the strips, whenever the state changes.

import { renderAlbum } from "./album.js";
import { BRUSH } from "./buttons.js";
import { $, element } from "./dom.js";
import { adds } from "./filling.js";
import { takeFrom } from "./mixing.js";
import { liveElsewhere, renderProgress, wordsOfLive } from "./progress.js";
import { doing, set, state } from "./state.js";
import { renderStage } from "./stage.js";
import { renderHoles, renderStrip } from "./strip.js";
import { text } from "./strings.js";
import { pickedTool } from "./strokes.js";
import { brushWidth } from "./view.js";

export function render() {
  const { base } = state.doc;
  document.title = base ? `${base.root.name} · ${text("title")}` : text("title");
  document.body.classList.toggle("open", base !== null);
  $("#welcome").hidden = base !== null;
  $("#editor").hidden = base === null;
  $("#problem").hidden = state.problem === null;
  $("#problem p").textContent = state.problem?.message ?? "";
  $("#retry").hidden = !state.problem?.retry;
  if (!base) return;
  $("#about").textContent = `${base.root.name}  ·  ${base.width} × ${base.height}`;
  $("#undo").disabled = !state.past.length;
  $("#redo").disabled = !state.future.length;
  renderSaving(base.root);
  renderTools();
  renderBars();
  renderAlbum();
  renderHint();
  renderAsk();
  renderHoles();
  renderStrip();
  renderStage();
}

/** @param {Base} root */
function renderSaving(root) {
  const { chosen, hole } = state.doc;
  const blocked = !chosen?.path || doing("save");
  $("#download").disabled = blocked;
  $("#downloadMore").disabled = blocked && !hole.length;
  for (const button of $("#downloadMenu").querySelectorAll("[data-save]")) {
    button.disabled = button.dataset.save === "mask" ? !hole.length : blocked;
  }
  $("[data-save=same]").textContent = text("downloadSame", { kind: root.kind.toUpperCase().replace("JPG", "JPEG") });
  $("[data-save=same]").hidden = root.kind === "png";
}

function renderTools() {
  const { chosen, hole, region } = state.doc;
  for (const button of $("#tools").querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", button.dataset.tool === state.tool);
  }
  const share = Math.log(state.brush / BRUSH.least) / Math.log(BRUSH.most / BRUSH.least);
  $("#size").value = Math.round(100 * share);
  $("#size").disabled = !pickedTool().sized;
  $("#size").setAttribute("aria-valuetext", text("size_is", { size: Math.round(brushWidth()) }));
  $("#clear").disabled = !(chosen ? region : hole).length;
  const panel = pickedTool().panel?.();
  if ($("#panel").firstChild !== (panel ?? null)) $("#panel").replaceChildren(...(panel ? [panel] : []));
  $("#panel").hidden = !panel;
}

/** Whether a part of the chosen fill is painted. */
function picking() {
  return Boolean(state.doc.chosen?.path) && state.doc.region.length > 0;
}

function renderBars() {
  const { run, chosen } = state.doc;
  const others = run?.fills.filter((fill) => fill !== chosen) ?? [];
  $("#chosenBar").hidden = !chosen || picking();
  $("#regionBar").hidden = !picking();
  $("#like").disabled = $("#unlike").disabled = !chosen?.path || Boolean(chosen.mixed) || Boolean(run?.live);
  $("#compare").setAttribute("aria-pressed", state.compare !== null);
  $("#heat").disabled = !run?.heat;
  $("#origins").disabled = !chosen?.path;
  for (const kind of ["heat", "origins"]) $(`#${kind}`).setAttribute("aria-pressed", state.overlay === kind);
  $("#original").disabled = !chosen;
  $("#legend").hidden = !(state.overlay === "heat" && run?.heat);
  const origins = state.overlay === "origins" ? chosen?.origins : null;
  $("#origin").hidden = !origins;
  if (origins) {
    $("#origin").textContent = origins.arrows.length
      ? text("originLegend", { copied: Math.round(100 * origins.copied) }) : text("originNone");
  }
  $("#note").hidden = state.note === null;
  $("#note").textContent = state.note ?? "";
  $("#takes").hidden = !others.length;
  if (picking() && run) renderTakes(others, run);
}

function renderHint() {
  const [hint, working] = hintOf();
  $("#hint").textContent = hint;
  $("#hint").classList.toggle("busy", working);
  renderProgress();
}

function renderAsk() {
  const { run, hole } = state.doc;
  const filling = Boolean(run?.live) && run?.hole === hole && !picking();
  $("#fill").textContent = text(filling ? "stop" : picking() ? "refill" : adds() ? "again" : "fill");
  $("#fill").classList.toggle("second", filling || (adds() && !picking()));
  $("#fill").disabled = !filling && (doing("open") || !hole.length);
  $("#count").value = $("#countShown").value = state.options.n;
  $("#variety").value = state.options.diversity;
  $("#modelRow").hidden = state.models.length < 2;
  const select = $("#model");
  if (select.options.length !== state.models.length) {
    select.replaceChildren(...state.models.map((name) => new Option(name, name)));
    if (state.models.includes(state.options.model)) select.value = state.options.model;
  }
}

/** @type {Record<string, string>} */
const TASKS = { open: "opening", merge: "merging", save: "saving", remake: "remaking", tool: "selecting" };

/** @returns {[string, boolean]} what to say, and whether it is being worked on */
function hintOf() {
  const { hole, run, chosen, region } = state.doc;
  const task = state.tasks.at(-1);
  if (task) return [text(TASKS[task.kind]), true];
  if (run?.live) return [wordsOfLive(run.live), true];
  if (liveElsewhere()) return [text("elsewhere"), true];
  const { hint, invites } = pickedTool();
  if (hint) return [text(hint), false];
  if (chosen) return [region.length ? "" : text("hintRegion"), false];
  if (!hole.length) return [text(invites ?? "hintPaint"), false];
  return [text(hole.suggested ? "hintSample" : "hintReady"), false];
}

/**
 * @param {Fill[]} others
 * @param {Run} run
 */
function renderTakes(others, run) {
  const takes = $("#takes");
  const key = `${text("take")} ${run.fills.map((fill) => fill.key)} ${others.map((fill) => fill.key)} ${doing("merge")}`;
  if (takes.dataset.key === key) return; // keeps the focus and the pointer's rest
  takes.dataset.key = key;
  const label = element("span", { textContent: text("take") });
  const buttons = others.map((fill) => {
    const number = run.fills.indexOf(fill) + 1;
    const button = element("button", { textContent: String(number), disabled: doing("merge") });
    button.setAttribute("aria-label", text("takeFrom", { number }));
    button.addEventListener("click", () => takeFrom(fill));
    for (const name of ["pointerenter", "focus"]) button.addEventListener(name, () => set({ mix: fill }));
    for (const name of ["pointerleave", "blur"]) button.addEventListener(name, () => set({ mix: null }));
    return button;
  });
  takes.replaceChildren(label, ...buttons);
}
