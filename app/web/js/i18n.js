/** Language: texts and numbers. */
import { CONSISTENCY } from "./messages-consistency.js";
import { LAYERS } from "./messages-layers.js";
import { MAP_MESSAGES } from "./messages-map.js";
import { OWN_PLACES } from "./messages-own-places.js";
import { REGISTER } from "./messages-register.js";
import { STREET_MESSAGES } from "./messages-streets.js";
import { WHY_MESSAGES } from "./messages-why.js";
import { MESSAGES } from "./messages.js";
import { PLAN } from "./messages-plan.js";

/** Texts by topic: each module has the same keys in every language. @type {Record<string, Record<string, string>>[]} */
export const TOPICS = [MESSAGES, OWN_PLACES, MAP_MESSAGES, WHY_MESSAGES, PLAN, LAYERS, STREET_MESSAGES, REGISTER, CONSISTENCY];

let language = "en";
/** @type {Record<string, string>} */ let texts = textsOf(language);

/** @param {string | null} wanted */
export function setLanguage(wanted) {
  const known = wanted ?? navigator.language.slice(0, 2);
  language = known === "es" ? "es" : "en";
  texts = textsOf(language);
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-i18n]")) {
    element.textContent = t(/** @type {HTMLElement} */ (element).dataset.i18n ?? "");
  }
  for (const element of document.querySelectorAll("[data-i18n-label]")) {
    const label = t(/** @type {HTMLElement} */ (element).dataset.i18nLabel ?? "");
    element.setAttribute("aria-label", label);
    element.setAttribute("title", label);
  }
}

export const currentLanguage = () => language;

/** @param {string} of a language @returns {Record<string, string>} */
function textsOf(of) {
  return Object.assign({}, ...TOPICS.map((topic) => topic[of]));
}

/**
 * @param {string} key @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** @param {number} value @param {number} [digits] significant digits */
export const number = (value, digits = 3) => written(value, { maximumSignificantDigits: digits });

/** As many digits in each line of a table. @param {number} value @param {number} [digits] significant digits */
export const aligned = (value, digits = 2) => written(value, { minimumSignificantDigits: digits, maximumSignificantDigits: digits });

/** @param {number} value */
export const count = (value) => written(value, { maximumFractionDigits: 0 });

/** @param {number} value @param {number} [places] */
export const fixed = (value, places = 1) => written(value, { minimumFractionDigits: places, maximumFractionDigits: places });

/** A difference, with its sign. @param {number} value */
export const signed = (value) => written(value, { minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: "exceptZero" });

/** One minus sign everywhere. @param {number} value @param {Intl.NumberFormatOptions} options */
function written(value, options) {
  return value.toLocaleString(language, options).replace("-", "−");
}
