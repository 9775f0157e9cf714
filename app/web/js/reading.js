/** How a file was read: what was taken as what, left aside and assumed. */
import { definitions, make } from "./dom.js";
import { t } from "./i18n.js";
import { messageText } from "./service-messages.js";

const FACTS = ["format", "file", "sheet", "layer", "encoding", "delimiter", "header_row", "preset", "time_format", "zone", "crs"];
const SHOWN = 20;

/** @param {any} read the service's `read`, null if there is none */
export function readingPart(read) {
  if (!read) return make("div");
  const facts = FACTS.filter((name) => read[name] !== null).map((name) => [t(`read_${name}`), read[name] === "\t" ? "tab" : String(read[name])]);
  const columns = Object.entries(read.columns).map(([field, column]) => make("div", {}, `${field} ← ${column}`));
  const aside = read.not_read.slice(0, SHOWN).map(asideText);
  if (read.not_read.length > SHOWN) aside.push("…");
  const further = (read.further ?? []).map((/** @type {any} */ one) => one.file ?? one.sheet ?? one.layer ?? "");
  /** @type {[string, string | Node][]} */
  const rows = /** @type {any} */ ([...facts, [t("readColumns"), make("div", {}, ...columns)]]);
  if (further.length) rows.push([t("readFurther"), further.join(", ")]);
  if (aside.length) rows.push([t("readAside"), aside.join(", ")]);
  const notes = read.assumptions.map((/** @type {any} */ message) => make("li", {}, messageText(message)));
  return make("div", { class: "reading" }, definitions(rows), ...(notes.length ? [make("ul", { class: "plain" }, ...notes)] : []));
}

/** @param {{kind: string, name: string, reason: string}} part */
function asideText({ kind, name, reason }) {
  const called = kind === "rows" && /^\d+$/.test(name) ? "row" : kind;
  const named = kind === "column" ? name : `${t(`part_${called}`)} ${name}`;
  return reason ? `${named} (${t(`aside_${reason}`)})` : named;
}
