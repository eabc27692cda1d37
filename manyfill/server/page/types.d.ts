// What the page's modules hand to each other. Types only: nothing of this reaches a browser.

type Language = "en" | "zh";
type Words = Record<string, string>;
type Size = { width: number; height: number };
type Point = { x: number; y: number };
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
  blob: Blob; // the file's own bytes, for the server
  name: string;
  kind: string;
  picture: HTMLCanvasElement; // of screen size
  sharp: ImageBitmap | null; // all of its pixels, or null until it is worth its memory
  root: Base; // the photo that was opened
  result?: string | null; // the name of a result by which the server has it
}

/** A finished fill, or a sketch of one. */
interface Fill {
  key: number;
  seed: number | null;
  picture: Picture;
  path?: string; // where its file lies; a sketch has none
  preview?: string;
  score?: number | null;
  done?: boolean;
  mixed?: boolean;
  near?: number;
  step?: number;
  sharp?: ImageBitmap | null;
}

/** Fills that were asked for together, or one after the other for the same hole. */
interface Run {
  base: Base;
  hole: Strokes;
  fills: Fill[];
  sketches: Fill[];
  heat: Picture | null;
  total: number;
  begun: number;
  whole: boolean;
  extra?: { near?: number; step?: number };
  started?: boolean;
}

/** What undo and redo move through. */
interface Doc {
  base: Base | null;
  hole: Strokes;
  run: Run | null;
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
  panel?(): HTMLElement; // shown beside the hint while it is picked
  start?(): void; // it is picked
  leave?(): void; // another one is
}

/** What the server is asked for at the moment. */
interface Busy {
  kind: "open" | "fill" | "merge" | "save";
  abort: AbortController;
}

interface ServerHealth {
  status: string;
  reason: string | null;
  limits: { body_bytes: number; pixels: number; fills: number; seconds: number };
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
  penDown: boolean; // painting by keyboard
  peek: Fill | null; // a fill that the pointer rests on
  original: boolean; // Tab is held
  compare: number | null; // 0..1, where the before/after slider stands; null: no slider
  heat: boolean; // show where the fills disagree
  busy: Busy | null;
  problem: Problem | null;
  server: ServerHealth | null; // what /healthz said
  models: string[];
  token: string | null;
  options: { n: number; diversity: number; model: string };
}
