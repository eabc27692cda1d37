// Canvases that are not on the page.

/**
 * @param {HTMLCanvasElement} surface
 * @param {CanvasRenderingContext2DSettings} options
 * @returns {CanvasRenderingContext2D}
 */
export function contextOf(surface, options = {}) {
  return /** @type {CanvasRenderingContext2D} */ (surface.getContext("2d", options));
}

/**
 * A picture, made smaller where its longer side is longer than `side`.
 * @param {Picture} image
 * @param {number} side
 */
export function canvasOf(image, side) {
  const share = Math.min(1, side / Math.max(image.width, image.height));
  const surface = document.createElement("canvas");
  surface.width = Math.max(1, Math.round(image.width * share));
  surface.height = Math.max(1, Math.round(image.height * share));
  const context = contextOf(surface);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, surface.width, surface.height);
  return surface;
}
