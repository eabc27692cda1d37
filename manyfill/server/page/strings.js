// The page's words in the language that was chosen.

import { EN } from "./words/en.js";
import { ZH } from "./words/zh.js";

/** @type {Record<Language, Words>} */
export const STRINGS = { en: EN, zh: ZH };

/** @type {Language} */
let language = "en";

/** Take the language that was chosen here, else the browser's. */
export function startLanguage() {
  const chosen = localStorage.getItem("manyfill.language");
  const theirs = navigator.languages?.find((one) => /^(zh|en)\b/i.test(one)) ?? "en";
  setLanguage((chosen ?? theirs).slice(0, 2).toLowerCase() === "zh" ? "zh" : "en");
}

/** @param {Language} name */
export function setLanguage(name) {
  language = name;
  document.documentElement.lang = name === "zh" ? "zh-Hans" : "en";
}

export function otherLanguage() {
  const other = language === "en" ? "zh" : "en";
  localStorage.setItem("manyfill.language", other);
  setLanguage(other);
}

/** @param {string} key */
export function knows(key) {
  return key in STRINGS[language];
}

/**
 * A string in the page's language, with {name}s replaced.
 * @param {string} key
 * @param {Record<string, any>} values
 */
export function text(key, values = {}) {
  const found = STRINGS[language][key] ?? STRINGS.en[key] ?? key;
  return found.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/**
 * Words of a part of the page that brings its own.
 * @param {Record<Language, Words>} words
 */
export function addWords(words) {
  for (const [name, more] of Object.entries(words)) Object.assign(STRINGS[/** @type {Language} */ (name)], more);
}
