// What the page's modules hand to each other. Types only: nothing of this reaches a browser.

/** The page's files and their version; the server puts it before worker.js. */
declare const SHELL: { version: string; files: string[] };

type Language = "en" | "zh";
type Words = Record<string, string>;
type Size = { width: number; height: number };
type Point = { x: number; y: number };
type Side = "top" | "right" | "bottom" | "left";
type Margins = Record<Side, number>; // pixels that a larger canvas has more on each side
type Picture = HTMLImageElement | HTMLCanvasElement | ImageBitmap;

/** What was painted, in the photo's pixels: see hole.js. */
interface Stroke {
  tool: string;
  points: number[];
  picture?: HTMLCanvasElement; // of a mask: opaque where it says "fill"
  blob?: Blob; // the mask's file
  minus?: boolean; // a mask that takes away
}

type Strokes = Stroke[] & { suggested?: boolean };

/** A photo, or a fill that is gone on with: see photo.js. */
interface Base extends Size {
  name: string;
  kind: string;
  picture: HTMLCanvasElement; // of screen size
  root: Base; // the photo that was opened
  blob?: Blob; // its file's own bytes, for the server; a fill has none
  sharp?: ImageBitmap | null; // all of its pixels, where they are worth their memory
  origin?: Fill; // the fill that it is
  larger?: { of: Base; by: Margins }; // the photo of which it is a larger canvas; it has no bytes of its own
  result?: string | null; // the name by which the server has the photo, perhaps
  kept?: string; // under which its bytes are in the browser's database
}

/** A finished fill, or a sketch of one. All that it takes to have the very same again is here. */
interface Fill {
  key: number;
  run: Run;
  seed: number;
  diversity: number;
  model: string | null;
  near?: number;
  step?: number;
  mixed?: { ours: Fill; theirs: Fill; region: Strokes }; // instead of drawn from its seed
  picture: Picture | null;
  origins?: Origins | null; // where it is copied from; null: on its way
  path?: string; // where its file lies on the server, or lay; a sketch has none
  preview?: Blob;
  score?: number | null;
  sharp?: ImageBitmap | null;
  kept?: string;
}

/** Where parts of a fill are copied from: [x, y, from x, from y] in the photo's pixels; and how much of it is. */
type Origins = { arrows: [number, number, number, number][]; copied: number };

/** A hole of a photo and the fills that were asked for it, best first. */
interface Run {
  base: Base;
  hole: Strokes;
  fills: Fill[];
  sketches: Fill[];
  heat: Picture | null;
  heatFile?: Blob;
  keptHeat?: string;
  shown?: Fill | null; // what was chosen when another hole was gone to
  live: Live | null;
}

/** Fills that are on their way. */
interface Live {
  abort: AbortController;
  total: number;
  ready: number;
  stage: "sent" | "queued" | "opened" | "fill" | "rank" | "texture";
  ahead: number; // requests before this one
  done: number; // of the stage's `of` units
  of: number;
  until: number | null; // performance.now() by which all is done, as far as can be known
}

/** What undo and redo move through. */
interface Doc {
  base: Base | null;
  hole: Strokes;
  run: Run | null;
  runs: Run[]; // all of this photo, in the order in which they were asked for
  chosen: Fill | null;
  region: Strokes;
}

/** A tool of the stage: see tools.js. */
interface Tool {
  name: string;
  icon: string; // of a 24 x 24 symbol, stroked: SVG elements
  words: Record<Language, Words>; // `name` is its label; whatever else its file says with text()
  key?: string; // a letter that picks it
  sized?: boolean; // its lines have the brush's width
  live?: boolean; // its strokes are drawn where they will lie while they grow
  begin(at: Point, width: number): Stroke;
  extend(stroke: Stroke, at: Point, width: number): void;
  isEmpty?(stroke: Stroke): boolean; // nothing comes of it
  done?(stroke: Stroke): void; // instead of adding it to what is painted
  draw?(context: CanvasRenderingContext2D, scale: number): void; // marks while it is picked, in the photo's pixels
  hint?: string; // what to say while it is picked, instead of how to paint
  invites?: string; // what to say while nothing is painted
  enter?(): boolean; // Enter is pressed while it is picked; true: it was for the tool
  escape?(): boolean; // likewise
  panel?(): HTMLElement; // shown beside the hint while it is picked
  start?(): void; // it is picked
  leave?(): void; // another one is
}

/** What is being done beside fills, one of a kind at a time. */
type TaskKind = "open" | "merge" | "save" | "remake" | "tool";
interface Task {
  kind: TaskKind;
  abort: AbortController;
}

interface ServerHealth {
  status: string;
  reason: string | null;
  sam: boolean; // a click selects a whole object
  limits: { body_bytes: number; pixels: number; fills: number; seconds: number };
}

/** One of several photos that are open: see album.js. */
interface Entry {
  key: number;
  name: string;
  blob?: Blob;
  kept?: string;
  doc: Doc | null; // null: not looked at yet
  past: State["past"];
  future: State["future"];
}

interface Problem {
  message: string;
  retry: (() => void) | null;
}

/** Everything that the page shows depends on this: see state.js. */
interface State {
  doc: Doc;
  past: { doc: Doc; join: string | null }[];
  future: { doc: Doc; join: string | null }[];
  tool: string;
  brush: number; // diameter, as a share of the photo's longer side
  sizing: boolean; // the brush's size is being chosen
  penDown: boolean; // painting by keyboard
  peek: Fill | null; // a fill that the pointer rests on
  mix: Fill | null; // a fill that the region would be taken from
  original: boolean; // Tab is held
  compare: number | null; // 0..1, where the before/after slider stands; null: no slider
  overlay: "heat" | "origins" | null; // where the fills disagree, or where the chosen one is copied from
  tasks: Task[];
  album: Entry[];
  at: number | null; // the key of the entry that is open
  note: string | null; // something to know, for a few seconds
  problem: Problem | null;
  server: ServerHealth | null; // what /healthz said
  models: string[];
  token: string | null;
  options: { n: number; diversity: number; model: string };
}
