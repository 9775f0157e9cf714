/** What the service asks about a file before it is stored, and the answers that a person may give. */
import { make } from "./dom.js";
import { count, t } from "./i18n.js";

/** How a file is to be read, whatever its columns are called. */
export const CHOICES = /** @type {const} */ (["time_format", "zone", "part", "header_row", "encoding", "crs", "feed", "date_only"]);
/** The choice that resolves a refusal, by its code. */
const RESOLVING = /** @type {Record<string, string>} */ ({ ambiguous_date: "time_format", unclear_clock: "time_format", unknown_part: "part" });
/** Answers to a refusal or a warning, by its code: parameter and value. @type {Record<string, [string, string][]>} */
const ANSWERS = {
  near_duplicates: [["near_duplicates", "replace"], ["near_duplicates", "skip"], ["near_duplicates", "add"]],
  zone_in_doubt: [["zone", "local"], ["zone", "UTC"]],
  id_conflicts: [["on_conflict", "replace"]],
  turned_back: [["on_conflict", "replace"]],
  missing_upstream: [["replace", "feed"]],
  dates_alone: [["date_only", "interval"]],
  day_or_month: [["time_format", "%d/%m/%Y"], ["time_format", "%m/%d/%Y"]],
};

/** @typedef {Record<string, string>} Answers by the parameter that they are sent as */

/** @param {string} parameter @param {string} value */
const answerText = (parameter, value) => t(`answer_${parameter}_${value}`);

/**
 * Questions with a button for each answer; one that is answered is not asked again.
 * @param {{code: string, params: Record<string, any>}[]} messages @param {Answers} answers @param {(answers: Answers) => void} give
 */
export function questionsPart(messages, answers, give) {
  const open = messages.filter(({ code }) => isOpen(code, answers));
  return make("div", { class: "questions" }, ...open.flatMap(({ code, params }) => {
    const shown = Object.fromEntries(Object.entries(params).map(([name, value]) => [name, typeof value === "number" ? count(value) : value]));
    const buttons = ANSWERS[code].map(([parameter, value]) =>
      make("button", { type: "button", name: parameter, value, onclick: () => give({ ...answers, [parameter]: value }) }, answerText(parameter, value)));
    return [make("p", {}, t(`question_${code}`, shown)), make("div", { class: "buttons" }, ...buttons)];
  }));
}

/** @param {Answers} answers */
export function answersPart(answers) {
  const given = Object.entries(answers).map(([parameter, value]) => answerText(parameter, value));
  return make("p", { class: "note", hidden: given.length === 0 }, t("answered", { answers: given.join("; ") }));
}

/** What to ask about rows that a report rejects: a format without a clock says the order of day and month alone. @param {any} report */
export function askedOfRejected({ rejected_by_code: byCode, errors }) {
  const first = errors.find((/** @type {any} */ one) => one.code === "ambiguous_date");
  return byCode.ambiguous_date ? [{ code: "day_or_month", params: { n: byCode.ambiguous_date, value: first?.params.value ?? "" } }] : [];
}

/** Whether a code is that of a question without an answer. @param {string} code @param {Answers} answers */
export const isOpen = (code, answers) => Boolean(ANSWERS[code]?.some(([parameter]) => !(parameter in answers)));

/** The choice or the field that a refused file needs, "" if none is known. @param {import("./api.js").ApiError} error */
export function neededBy({ code, field, params }) {
  if (code === "missing_column") return field === "columns" ? "occurred_at" : field;
  if (code === "ambiguous_column") return params.field;
  const named = RESOLVING[code] ?? field;
  return CHOICES.includes(/** @type {any} */ (named)) ? named : "";
}
