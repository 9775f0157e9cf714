/** The data report in the page: what came in, what stands out, when incidents happened; of a region or of one upload. */
import { getJson, regionPath, save } from "./api.js";
import { make } from "./dom.js";
import { list, rejectedRows, sentencesOf } from "./findings.js";
import { count, t } from "./i18n.js";
import { monthBars, weekHeat } from "./report-charts.js";
import { showError, showErrorIn, notice } from "./runs.js";
import { messageText } from "./service-messages.js";
import { dayText, inZone } from "./time.js";

const MAX_UPLOADS = 20;

/** @param {any} region @param {string | number} upload "" for all */
const path = (region, upload, form = "json") => regionPath(region.id, `data-report?f=${form}${upload ? `&upload=${upload}` : ""}`);

/** @param {any} region @param {string | number} [upload] */
const loadReport = (region, upload = "") => getJson(path(region, upload));

/** Fill the part of a region, with a choice of its uploads. @param {any} region @param {any} holder */
export async function fillReport(region, holder) {
  const first = await loadReport(region);
  const body = make("div", { id: "report" }, ...reportOf(first));
  const status = notice("report-status");
  const named = (/** @type {any} */ u) => t("uploadNamed", { id: u.id, date: dayText(inZone(u.created_at, region.timezone)), n: count(u.received) });
  const option = (/** @type {any} */ u) => make("option", { value: u.id }, named(u));
  const pick = make("select", { id: "report-upload" }, make("option", { value: "" }, t("allUploads")), ...first.uploads.newest.slice(0, MAX_UPLOADS).map(option));
  pick.addEventListener("change", async () => {
    status.className = "status";
    status.textContent = t("loading");
    try {
      body.replaceChildren(...reportOf(await loadReport(region, pick.value)));
      status.textContent = "";
    } catch (error) {
      showErrorIn(status, error);
    }
  });
  const download = () => save(path(region, pick.value, "html"), `${region.id}-data-report.html`).catch(showError);
  holder.replaceChildren(
    make("label", { class: "row" }, make("span", {}, t("reportOf")), pick), status, body,
    make("div", { class: "buttons" }, make("button", { type: "button", id: "data-report", onclick: download }, t("dataReport"))));
}

/** A report's parts. @param {any} report @returns {Node[]} */
function reportOf(report) {
  const figure = (/** @type {string} */ name) => make("div", {}, make("strong", {}, count(report.uploads[name])), " ", make("span", {}, t(name)));
  return [make("div", { class: "figures" }, ...["accepted", "duplicates", "rejected"].map(figure)), ...details(report)];
}

/** What an upload's reply says, or its whole report. @param {any} region @param {any} reply @param {boolean} whole */
export async function findingsOf(region, reply, whole) {
  if (whole) return details(await loadReport(region, reply.upload_id));
  return [...standsOut(sentencesOf(reply.warnings, reply.rejected_by_code)), ...rejectedRows(reply.errors, reply.rejected)];
}

/** @param {string[]} sentences */
const standsOut = (sentences) => [make("h4", {}, t("standsOut")), sentences.length ? list(sentences) : make("p", { class: "note" }, t("nothingOdd"))];

/** Can this be forecast by the hour, by the place, and what to do. @param {any} verdicts */
function verdictsOf({ hour, place, next_step: next }) {
  const lines = new Set([hour, place, next].map(messageText));
  return [make("div", { id: "verdicts" }, ...[...lines].map((line) => make("p", {}, make("strong", {}, line))))];
}

/** @param {any} report @returns {Node[]} */
function details(report) {
  const { months, breaks, hour_of_week: hours, timezone, uploads, incidents } = report;
  const parts = [...verdictsOf(report.verdicts), ...standsOut(sentencesOf(report.findings, uploads.rejected_by_code)), ...rejectedRows(uploads.errors, uploads.rejected)];
  if (!incidents.n) return parts;
  if (months.length > 1) parts.push(make("h4", {}, t("byMonth")), monthBars(months, breaks));
  return [...parts, make("h4", {}, t("byHour", { zone: timezone })), ...weekHeat(hours)];
}
