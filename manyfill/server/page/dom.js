// Elements of the page by their selectors.

/**
 * The one element of index.html that a selector names; null is a mistake of ours.
 * @param {string} selector
 * @returns {any} whatever kind of element it is
 */
export function $(selector) {
  const found = document.querySelector(selector);
  console.assert(found !== null, `no ${selector} on the page`);
  return found;
}

/**
 * A new element with these properties.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Partial<HTMLElementTagNameMap[Name]>} [properties]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/**
 * An icon of the page's style.
 * @param {string} shape SVG elements for a box of 24 x 24
 */
export function icon(shape) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML = shape;
  return svg;
}
