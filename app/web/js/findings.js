/** What stands out in incidents that came in, in sentences that say what to do about it. */
import { make, table } from "./dom.js";
import { count, t } from "./i18n.js";
import { messageText } from "./service-messages.js";

const SHOWN_ERRORS = 10;
/** Figures, not faults: the report as a page has them. */
const NOT_SHOWN = ["late_reports"];

/** Why rows were rejected, the most frequent first. @param {Record<string, number>} byCode */
const refusals = (byCode) => Object.entries(byCode).sort(([, a], [, b]) => b - a).map(([code, n]) =>
  messageText({ code, params: { n }, message: t("otherRows", { n: count(n), code }) }));

/**
 * Findings of a report, or warnings of an upload; what the rejected rows say already is left out.
 * @param {any[]} messages @param {Record<string, number>} byCode rejected rows @returns {string[]}
 */
export function sentencesOf(messages, byCode) {
  const [rejected, others] = [messages.filter(({ code }) => code === "rows_rejected"), messages.filter(({ code }) =>
    code !== "rows_rejected" && !(code in byCode) && !NOT_SHOWN.includes(code))];
  return [...rejected.map(messageText), ...refusals(byCode), ...others.map(messageText)];
}

/** @param {string[]} sentences */
export const list = (sentences) => make("ul", { class: "plain" }, ...sentences.map((sentence) => make("li", {}, sentence)));

/** The first rejected rows. @param {any[]} errors @param {number} rejected */
export function rejectedRows(errors, rejected) {
  if (!errors.length) return [];
  const shown = errors.slice(0, SHOWN_ERRORS);
  const lines = shown.map((/** @type {any} */ e) => [String(e.row), make("span", {}, e.field ?? "", make("span", { class: "note block" }, e.code)), e.message]);
  const grid = table(t("rejectedRows"), [t("rowNumber"), t("field"), t("reason")], lines);
  grid.className = "words";
  const more = rejected > shown.length ? [make("p", { class: "note" }, t("moreProblems", { n: count(rejected - shown.length) }))] : [];
  return [make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("rejectedRows") }, grid), ...more];
}
