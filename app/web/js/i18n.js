/** Language: words, numbers, dates. */
import { WORDS } from "./words.js";

let language = "en";

/** @param {string | null} wanted */
export function setLanguage(wanted) {
  const told = wanted ?? navigator.language.slice(0, 2);
  language = told === "es" ? "es" : "en";
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

/**
 * @param {string} key @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const words = /** @type {Record<string, Record<string, string>>} */ (WORDS)[language];
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** @param {number} value @param {number} [digits] significant digits */
export const number = (value, digits = 3) =>
  value.toLocaleString(language, { maximumSignificantDigits: digits });

/** @param {number} value */
export const count = (value) => value.toLocaleString(language, { maximumFractionDigits: 0 });

/** @param {number} value @param {number} [places] */
export const fixed = (value, places = 1) =>
  value.toLocaleString(language, { minimumFractionDigits: places, maximumFractionDigits: places });

const WARNINGS = /** @type {[RegExp, string][]} */ ([
  [/^stale: the forecast is for (\d+) days/, "warnStale"],
  [/^in-sample/, "warnSample"],
  [/^thin data: trained on (\d+)/, "warnThin"],
  [/^the study area was derived/, "warnBoundary"],
  [/^hardly any incidents from (\S+) to /, "warnGap"],
  [/^incidents from (\S+) on seem to have arrived in part/, "warnLate"],
  [/^(\d+) incidents are timed /, "warnTimes"],
  [/^(\d+) incidents outside the study area/, "warnOutside"],
  [/^not learnt from, since they mostly reflect patrol activity: (.+)/, "warnPatrols"],
]);

/** A warning of the service in the page's language; unknown ones as they came. @param {string} text */
export function warning(text) {
  for (const [pattern, key] of WARNINGS) {
    const found = pattern.exec(text);
    const told = found?.[1] ?? "";
    if (found) return t(key, { n: /^\d+$/.test(told) ? count(Number(told)) : told });
  }
  return text;
}
