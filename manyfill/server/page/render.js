// Draws all of the page but the canvas and the strip, whenever the state changes.

import { BRUSH } from "./buttons.js";
import { $, element } from "./dom.js";
import { state } from "./state.js";
import { adds, takeFrom } from "./filling.js";
import { renderStage } from "./stage.js";
import { peekOn, renderStrip } from "./strip.js";
import { text } from "./strings.js";
import { pickedTool } from "./strokes.js";
import { brushWidth } from "./view.js";

export function render() {
  const { base, hole, run, chosen, region } = state.doc;
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
  $("#download").disabled = $("#downloadMore").disabled = !chosen?.path || state.busy !== null;
  $("[data-format=same]").textContent = text("downloadSame", { kind: base.root.kind.toUpperCase().replace("JPG", "JPEG") });
  $("[data-format=same]").hidden = base.root.kind === "png";

  for (const button of $("#tools").querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", button.dataset.tool === state.tool);
  }
  const share = Math.log(state.brush / BRUSH.least) / Math.log(BRUSH.most / BRUSH.least);
  $("#size").value = Math.round(100 * share);
  $("#size").setAttribute("aria-valuetext", text("size_is", { size: Math.round(brushWidth()) }));
  $("#clear").disabled = !(chosen ? region : hole).length;

  const picking = Boolean(chosen?.path) && region.length > 0;
  const others = run?.fills.filter((fill) => fill !== chosen) ?? [];
  $("#chosenBar").hidden = !chosen || picking;
  $("#regionBar").hidden = !picking;
  $("#like").disabled = $("#unlike").disabled = !chosen?.path || chosen.seed === null || state.busy !== null;
  $("#compare").setAttribute("aria-pressed", state.compare !== null);
  $("#heat").disabled = !run?.heat;
  $("#heat").setAttribute("aria-pressed", state.heat);
  $("#legend").hidden = !(state.heat && run?.heat);
  $("#takes").hidden = !others.length;
  if (picking && run) renderTakes(others, run);

  const panel = pickedTool().panel?.();
  if ($("#panel").firstChild !== (panel ?? null)) $("#panel").replaceChildren(...(panel ? [panel] : []));
  $("#panel").hidden = !panel;

  const [hint, working] = hintOf();
  $("#hint").textContent = hint;
  $("#hint").classList.toggle("busy", working);
  const filling = state.busy !== null && state.busy.kind !== "open";
  $("#fill").textContent = text(filling ? "stop" : picking ? "refill" : adds() ? "again" : "fill");
  $("#fill").classList.toggle("second", filling || (adds() && !picking));
  $("#fill").disabled = !filling && (state.busy !== null || !hole.length);
  $("#count").value = $("#countShown").value = state.options.n;
  $("#variety").value = state.options.diversity;
  $("#modelRow").hidden = state.models.length < 2;
  renderModels();
  renderStrip();
  renderStage();
}

/** @returns {[string, boolean]} what to say, and whether it is being worked on */
function hintOf() {
  const { hole, run, chosen, region } = state.doc;
  const kind = state.busy?.kind;
  if (kind === "merge") return [text("merging"), true];
  if (kind === "save") return [text("saving"), true];
  if (kind === "open") return [text("opening"), true];
  if (kind === "fill") {
    const ready = run?.started ? run.fills.length - run.begun : 0;
    if (!run?.sketches.length || !run.started || ready >= run.total) return [text("working"), true];
    return [text("finishing", { number: ready + 1, total: run.total }), true];
  }
  if (chosen) return [region.length ? "" : text("hintRegion"), false];
  if (!hole.length) return [text("hintPaint"), false];
  return [text(hole.suggested ? "hintSample" : "hintReady"), false];
}

/**
 * @param {Fill[]} others
 * @param {Run} run
 */
function renderTakes(others, run) {
  const takes = $("#takes");
  const label = element("span", { textContent: text("take") });
  const buttons = others.map((fill) => {
    const number = run.fills.indexOf(fill) + 1;
    const button = element("button", { textContent: String(number), disabled: state.busy !== null });
    button.setAttribute("aria-label", text("takeFrom", { number }));
    button.addEventListener("click", () => takeFrom(fill));
    peekOn(button, fill);
    return button;
  });
  const key = `${text("take")} ${others.map((fill) => fill.key)} ${state.busy !== null}`;
  if (takes.dataset.key === key) return; // keeps the focus and the pointer's rest
  takes.dataset.key = key;
  takes.replaceChildren(label, ...buttons);
}

function renderModels() {
  const select = $("#model");
  if (select.options.length === state.models.length) return;
  select.replaceChildren(...state.models.map((name) => new Option(name, name)));
}
