/**
 * Messages of the service by their code, in English and Spanish.
 *
 * `{name}` is filled from the message's params: numbers and lists as the language writes them, or as the
 * format after the colon says. A test compares this table with the service's.
 */
import { RUNS_ENGLISH } from "./run-messages-en.js";
import { RUNS_SPANISH } from "./run-messages-es.js";
import { ENGLISH } from "./service-messages-en.js";
import { SPANISH } from "./service-messages-es.js";
import { count, currentLanguage, fixed, number, signed } from "./i18n.js";
import { dayText, monthText } from "./time.js";

const SERVICE_MESSAGES = { en: { ...ENGLISH, ...RUNS_ENGLISH }, es: { ...SPANISH, ...RUNS_SPANISH } };

const FIELD = /\{(\w+)(?::(\w+))?\}/g;
const FORMATS = /** @type {Record<string, (value: any) => string>} */ ({
  percent: (share) => fixed(100 * share),
  whole: count,
  fixed,
  signed,
  degrees: (value) => value.toFixed(5),
  day: (date) => dayText(`${date}T00:00`),
  month: monthText,
});

/** A parameter without a format: a number, a text, a list, or {name: count}. @param {any} value @returns {string} */
function plain(value) {
  if (typeof value === "number") return Number.isInteger(value) ? count(value) : number(value);
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value === "object") return Object.entries(value).map(([name, n]) => `${name} (${count(n)})`).join(", ");
  return String(value);
}

/**
 * A message of the service in the page's language; one whose code or parameters are not known, as it came.
 * @param {{code: string, params: Record<string, any>, message: string}} given
 */
export function messageText({ code, params, message }) {
  const text = /** @type {Record<string, Record<string, string>>} */ (SERVICE_MESSAGES)[currentLanguage()][code];
  if (!text || [...text.matchAll(FIELD)].some(([, name]) => !(name in params))) return message;
  return text.replace(FIELD, (_, name, format) => (FORMATS[format] ?? plain)(params[name]));
}
