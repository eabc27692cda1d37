// Puts the page together: words, buttons, keys, drops; and draws all of it but the canvas whenever the state changes.

import { state, set, subscribe, undo, redo, shownFill, TOOLS } from "./state.js";
import * as act from "./actions.js";
import * as stage from "./stage.js";
import { startKeeping } from "./keep.js";
import { SAMPLES } from "./samples.js";
import { startLanguage, otherLanguage, text } from "./strings.js";

const $ = (selector) => document.querySelector(selector);
const strip = $("#strip");
const BRUSH = { least: 0.004, most: 0.3 }; // of the photo's longer side

// ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────

const KEYS = [
  ["keyFill", ["keyEnter"]], ["keyTools", ["B", "E", "R", "L"]], ["keySize", ["[", "]"]], ["keyUndo", ["Ctrl Z", "Ctrl ⇧ Z"]],
  ["keyChoose", ["1", "…", "9", "0"]], ["keyOriginal", ["keyTab"]], ["keyCompare", ["C"]], ["keyHeat", ["U"]],
  ["keyZoom", ["keyWheel"]], ["keyPan", ["keySpace"]], ["keyArrows", ["arrows"]], ["keyPen", ["D"]],
  ["keySave", ["Ctrl S"]], ["keyStop", ["keyEsc"]], ["keyHelp", ["?"]],
];

function spell() {
  for (const element of document.querySelectorAll("[data-text]")) {
    const words = text(element.dataset.text);
    if (!element.querySelector("svg")) element.textContent = words;
    else (element.querySelector("span") ?? element.appendChild(document.createElement("span"))).textContent = words;
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    const words = text(element.dataset.label);
    element.setAttribute("aria-label", words);
    if (element.matches("button, input")) element.title = element.dataset.key ? `${words}  ${element.dataset.key}` : words;
  }
  $("#keys").replaceChildren(...KEYS.flatMap(([what, keys]) => {
    const [term, detail] = [document.createElement("dt"), document.createElement("dd")];
    term.append(...keys.map((key) => Object.assign(document.createElement("kbd"), { textContent: text(key) })));
    detail.textContent = text(what);
    return [term, detail];
  }));
}

// ── drawing ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function render() {
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

  for (const button of document.querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", button.dataset.tool === state.tool);
  }
  const share = Math.log(state.brush / BRUSH.least) / Math.log(BRUSH.most / BRUSH.least);
  $("#size").value = Math.round(100 * share);
  $("#size").setAttribute("aria-valuetext", text("size_is", { size: Math.round(stage.brushWidth()) }));
  $("#clear").disabled = !(chosen ? region : hole).length;

  const picking = chosen?.path && region.length > 0;
  const others = run?.fills.filter((fill) => fill !== chosen) ?? [];
  $("#chosenBar").hidden = !chosen || picking;
  $("#regionBar").hidden = !picking;
  $("#like").disabled = $("#unlike").disabled = !chosen?.path || chosen.seed === null || state.busy !== null;
  $("#compare").setAttribute("aria-pressed", state.compare !== null);
  $("#heat").disabled = !run?.heat;
  $("#heat").setAttribute("aria-pressed", state.heat);
  $("#legend").hidden = !(state.heat && run?.heat);
  $("#takes").hidden = !others.length;
  if (picking) renderTakes(others, run);

  const [hint, working] = hintOf();
  $("#hint").textContent = hint;
  $("#hint").classList.toggle("busy", working);
  const filling = state.busy !== null && state.busy.kind !== "open";
  $("#fill").textContent = text(filling ? "stop" : picking ? "refill" : act.adds() ? "again" : "fill");
  $("#fill").classList.toggle("second", filling || (act.adds() && !picking));
  $("#fill").disabled = !filling && (state.busy !== null || !hole.length);
  $("#count").value = $("#countShown").value = state.options.n;
  $("#variety").value = state.options.diversity;
  $("#modelRow").hidden = state.models.length < 2;
  renderModels();
  renderStrip();
  stage.renderStage();
}

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

function renderTakes(others, run) {
  const takes = $("#takes");
  const label = document.createElement("span");
  label.textContent = text("take");
  const buttons = others.map((fill) => {
    const number = run.fills.indexOf(fill) + 1;
    const button = Object.assign(document.createElement("button"), { textContent: number, disabled: state.busy !== null });
    button.setAttribute("aria-label", text("takeFrom", { number }));
    button.addEventListener("click", () => act.takeFrom(fill));
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

/** Cells of the strip: the photo, finished fills, sketches, and places for those that are still to come. */
function cells() {
  const { base, hole, run } = state.doc;
  const photo = { key: "photo", fill: null, crop: run?.hole ?? hole, label: text("photoCellLabel"), mark: text("photoCell") };
  if (!run) return [photo];
  const fills = run.fills.map((fill, index) => ({
    key: fill.key, fill, crop: run.hole, mark: String(index + 1),
    label: text(fill.mixed ? "fillMixed" : "fillLabel", { number: index + 1 }),
  }));
  const sketches = run.sketches.map((fill) => ({ key: fill.key, fill, crop: run.hole, label: text("sketchLabel"), sketch: true }));
  return [photo, ...fills, ...sketches].map((cell) => ({ ...cell, base: run.base ?? base }));
}

function renderStrip() {
  const wanted = cells();
  const there = new Map([...strip.children].map((item) => [item.dataset.key, item]));
  wanted.forEach((cell, place) => {
    const item = there.get(String(cell.key)) ?? newItem(cell);
    there.delete(String(cell.key));
    if (strip.children[place] !== item) strip.insertBefore(item, strip.children[place] ?? null);
    renderItem(item, cell);
  });
  for (const item of there.values()) item.remove();
}

function newItem(cell) {
  const item = document.createElement("li");
  item.dataset.key = cell.key;
  const button = item.appendChild(document.createElement("button"));
  button.append(document.createElement("canvas"), document.createElement("b"));
  button.addEventListener("click", () => act.choose(cell.fill));
  if (cell.fill) peekOn(button, cell.fill);
  return item;
}

function renderItem(item, { fill, crop, label, mark, sketch, base = state.doc.base }) {
  const button = item.firstChild;
  const [canvas, badge] = button.children;
  button.classList.toggle("sketch", Boolean(sketch));
  button.setAttribute("aria-pressed", state.doc.chosen === fill);
  button.setAttribute("aria-label", label);
  badge.textContent = mark ?? "";
  badge.hidden = !mark;
  const picture = fill ? fill.picture : base.picture;
  if (!picture || (item.picture === picture && item.crop === crop)) return;
  Object.assign(item, { picture, crop });
  const [width, height] = [248, 176]; // twice the largest size on the page
  Object.assign(canvas, { width, height });
  const whole = fill ? stage.compose(fill, state.doc.run) : base.picture;
  const part = stage.cropAround(crop, base, width / height);
  const share = base.picture.width / base.width;
  const on = canvas.getContext("2d");
  on.imageSmoothingQuality = "high";
  on.drawImage(whole, part.left * share, part.top * share, part.width * share, part.height * share, 0, 0, width, height);
}

/** Show a fill while the pointer rests on its button. */
function peekOn(button, fill) {
  button.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && set({ peek: fill }));
  button.addEventListener("pointerleave", () => set({ peek: null }));
}

// ── buttons ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function toggleCompare() {
  if (shownFill()) set({ compare: state.compare === null ? 0.5 : null, heat: false });
}

function toggleHeat() {
  if (state.doc.run?.heat) set({ heat: !state.heat, compare: null });
}

function moved(back) {
  const done = back ? undo() : redo();
  act.say(text(back ? (done ? "undone" : "nothingUndo") : done ? "redone" : "nothingRedo"));
}

function sizeBy(factor) {
  set({ brush: Math.min(BRUSH.most, Math.max(BRUSH.least, state.brush * factor)) });
  act.say(text("size_is", { size: Math.round(stage.brushWidth()) }));
}

function fillOrStop() {
  if (state.busy && state.busy.kind !== "open") act.stop();
  else if (!$("#fill").disabled) act.fill();
}

function pickFile(input) {
  input.value = "";
  input.click();
}

const CLICKS = {
  choose: () => pickFile($("#photoFile")),
  open: () => pickFile($("#photoFile")),
  mask: () => pickFile($("#maskFile")),
  undo: () => moved(true),
  redo: () => moved(false),
  download: () => act.download(),
  language: () => { otherLanguage(); spell(); render(); },
  theme: toggleTheme,
  help: () => $("#helpDialog").showModal(),
  clear: act.clear,
  fit: stage.fit,
  fill: fillOrStop,
  like: () => act.vary(act.LIKE),
  unlike: () => act.vary(act.UNLIKE),
  compare: toggleCompare,
  heat: toggleHeat,
  dropRegion: act.clear,
  dismiss: () => set({ problem: null }),
  retry: () => {
    const { retry } = state.problem;
    set({ problem: null });
    retry();
  },
};

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme === "dark" || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("manyfill.theme", root.dataset.theme);
}

for (const [id, click] of Object.entries(CLICKS)) $(`#${id}`).addEventListener("click", click);
for (const tool of TOOLS) $(`[data-tool=${tool}]`).addEventListener("click", () => set({ tool }));
for (const button of document.querySelectorAll("[data-format]")) {
  button.addEventListener("click", () => {
    $("#downloadMenu").hidePopover();
    act.download(button.dataset.format);
  });
}
$("#size").addEventListener("input", (event) => {
  set({ brush: BRUSH.least * (BRUSH.most / BRUSH.least) ** (event.target.value / 100) });
});
$("#count").addEventListener("input", (event) => set({ options: { ...state.options, n: Number(event.target.value) } }));
$("#variety").addEventListener("input", (event) => {
  set({ options: { ...state.options, diversity: Number(event.target.value) } });
});
$("#model").addEventListener("change", (event) => set({ options: { ...state.options, model: event.target.value } }));

// ── photos come in ───────────────────────────────────────────────────────────────────────────────────────────────────

function take(file) {
  if (file) act.open(file, file.name || "photo.png");
}

$("#photoFile").addEventListener("change", (event) => take(event.target.files[0]));
$("#maskFile").addEventListener("change", (event) => event.target.files[0] && act.openMask(event.target.files[0]));
document.addEventListener("paste", (event) => take([...(event.clipboardData?.files ?? [])][0]));

let dragDepth = 0;
function showDropping(change) {
  dragDepth = Math.max(0, dragDepth + change);
  $("#dropping").hidden = dragDepth === 0;
}
document.addEventListener("dragenter", () => showDropping(1));
document.addEventListener("dragleave", () => showDropping(-1));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  showDropping(-dragDepth);
  take(event.dataTransfer?.files[0]);
});

$("#samples").append(...SAMPLES.map(({ name }) => {
  const item = document.createElement("li");
  const button = item.appendChild(document.createElement("button"));
  const image = button.appendChild(Object.assign(new Image(), { src: `samples/${name}.jpg`, alt: "" }));
  image.draggable = false;
  const words = button.appendChild(document.createElement("span"));
  words.dataset.text = `sample.${name}`;
  button.addEventListener("click", () => act.openSample(name));
  return item;
}));

// ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

const LETTERS = {
  b: () => set({ tool: "brush" }), e: () => set({ tool: "eraser" }),
  r: () => set({ tool: "rectangle" }), l: () => set({ tool: "lasso" }),
  "[": () => sizeBy(1 / 1.15), "]": () => sizeBy(1.15),
  "+": () => stage.zoom(1.25), "=": () => stage.zoom(1.25), "-": () => stage.zoom(0.8), f: stage.fit,
  c: toggleCompare, u: toggleHeat,
  d: () => { stage.togglePen(); act.say(text(state.penDown ? "penDown" : "penUp")); },
  "?": () => $("#helpDialog").showModal(),
};

const TAP = 300; // milliseconds; a Tab held longer shows the original, a shorter one moves the focus
let tabDown = null;

function typing(target) {
  return target.matches("select, textarea, input:not([type=range])") || target.closest("dialog, [popover]") !== null;
}

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  const command = event.ctrlKey || event.metaKey;
  if (command && key.toLowerCase() === "s") {
    event.preventDefault();
    if (state.doc.base) act.download();
    return;
  }
  if (!state.doc.base || typing(target)) return;
  const onStage = target === $("#stage") || target === document.body;
  if (command && ["z", "y"].includes(key.toLowerCase())) {
    event.preventDefault();
    moved(key.toLowerCase() === "z" && !event.shiftKey);
  } else if (command || event.altKey) {
    return;
  } else if (key === "Tab" && !event.shiftKey && state.doc.chosen && (onStage || target.closest("#strip"))) {
    event.preventDefault();
    if (tabDown === null) tabDown = performance.now();
    set({ original: true });
  } else if (key === "Escape") {
    if (!stage.dropStroke() && state.problem) set({ problem: null });
    else if (state.busy) act.stop();
    else if (state.heat || state.compare !== null) set({ heat: false, compare: null });
    else if (state.doc.region.length) act.clear();
  } else if (key === " " && onStage) {
    event.preventDefault();
    stage.holdSpace(true);
  } else if (key === "Enter" && !target.closest("button")) {
    event.preventDefault();
    if (!state.busy) fillOrStop();
  } else if (onStage && stage.arrow(key, { far: event.shiftKey })) {
    event.preventDefault();
  } else if (/^[0-9]$/.test(key)) {
    const fill = key === "0" ? null : state.doc.run?.fills[key - 1];
    if (fill !== undefined) act.choose(fill);
  } else if (!event.repeat || "[]+-=".includes(key)) {
    LETTERS[key.toLowerCase()]?.();
  }
});

document.addEventListener("keyup", (event) => {
  if (event.key === " ") stage.holdSpace(false);
  if (event.key === "Tab" && tabDown !== null) {
    const tapped = performance.now() - tabDown < TAP;
    tabDown = null;
    set({ original: false });
    if (tapped) focusAfter(document.activeElement);
  }
});

window.addEventListener("blur", () => {
  tabDown = null;
  stage.holdSpace(false);
  set({ original: false });
});

/** What the browser would have done with Tab. */
function focusAfter(element) {
  const all = [...document.querySelectorAll("a[href], button, input, select, [tabindex='0']")]
    .filter((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility() && !one.closest("[popover]:not(:popover-open), dialog"));
  (all[all.indexOf(element) + 1] ?? all[0]).focus();
}

// ── beginning ────────────────────────────────────────────────────────────────────────────────────────────────────────

state.token = sessionStorage.getItem("manyfill.token");
startLanguage();
spell();
subscribe(render);
render();
await startKeeping();
await act.connect();
document.body.classList.add("ready");
