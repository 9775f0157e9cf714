/** Add incidents: drop a file, follow its progress, read the outcome. */
import { may } from "./access.js";
import { ApiError, regionPath, sendFile } from "./api.js";
import { byId, make, definitions } from "./dom.js";
import { count, t } from "./i18n.js";
import { lasting, lazyDetails } from "./panel-state.js";
import { answersPart, askedOfRejected, isOpen, neededBy, questionsPart } from "./questions.js";
import { notice, showErrorIn } from "./runs.js";
import { readingPart } from "./reading.js";
import { view } from "./view.js";

const TYPES = /** @type {Record<string, string>} */ ({
  csv: "text/csv", txt: "text/csv", tsv: "text/tab-separated-values", json: "application/json",
  ndjson: "application/x-ndjson", jsonl: "application/x-ndjson", geojson: "application/geo+json",
  parquet: "application/vnd.apache.parquet", geoparquet: "application/vnd.apache.parquet",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  gpkg: "application/geopackage+sqlite3", zip: "application/zip",
});
const PACKED = "gz";

/** Texts about a region outlive the redraw that follows each change. */
const shown = { region: "", status: notice("upload-status"), more: make("div", { id: "upload-more" }) };

/** Headers by a file's name; an unknown one is sent as CSV. @param {string} name @returns {Record<string, string>} */
function about(name) {
  const parts = name.toLowerCase().split(".");
  const packed = parts.at(-1) === PACKED;
  if (packed) parts.pop();
  const type = TYPES[parts.at(-1) ?? ""] ?? "text/csv";
  return packed ? { "Content-Type": type, "Content-Encoding": "gzip" } : { "Content-Type": type };
}

/** @param {import("./run.js").Known} known */
export function uploadPart(known) {
  if (shown.region !== known.region.id) Object.assign(shown, { region: known.region.id, status: notice("upload-status"), more: make("div", { id: "upload-more" }) });
  const { status, more } = shown;
  /** @type {import("./columns.js").Columns} */
  const columns = lasting("columns", known.region.id, () => ({ query: "", file: null, header: [], field: "", ask: null, send: () => {} }));
  const input = make("input", { type: "file", id: "file", accept: [...Object.keys(TYPES), PACKED].map((e) => `.${e}`).join(",") });
  const drop = make("div", { id: "drop" }, t("dropHere"), " ", input, make("label", { for: "file" }, t("choose")), make("div", { class: "note" }, t("formats")));
  const send = (/** @type {File | undefined} */ file) => file && upload(known, file, shown, columns);
  input.addEventListener("change", () => {
    send(input.files[0]);
    // Otherwise choosing the same file again would change nothing.
    input.value = "";
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (/** @type {any} */ event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") send(event.dataTransfer.files[0]);
    });
  }
  columns.send = send;
  const fill = async (/** @type {any} */ holder) => (await import("./columns.js")).fillColumns(known.region, holder, columns);
  return [make("h3", {}, t("upload")), drop, status, more, lazyDetails("columns-part", t("columnsTitle"), known.region.id, fill)];
}

/**
 * Show how a file would be read, and store it when that is confirmed.
 * @param {import("./run.js").Known} known @param {File} file @param {{status: any, more: any}} shown
 * @param {import("./columns.js").Columns} columns @param {import("./questions.js").Answers} [answers]
 */
async function upload(known, file, { status, more }, columns, answers = {}) {
  const query = new URLSearchParams(columns.query);
  for (const [name, value] of Object.entries(answers)) query.set(name, value);
  const again = (/** @type {import("./questions.js").Answers} */ given) => upload(known, file, { status, more }, columns, given);
  const report = await sent(known, file, { status, more }, columns, new URLSearchParams([...query, ["dry_run", "true"]]), answers, again);
  if (!report) return;
  const store = make("button", { class: "primary", id: "store-upload" }, t("store"));
  // What is stored is what was shown, whatever is typed meanwhile.
  store.addEventListener("click", () => storeFile(known, file, { status, more }, columns, query, answers, again));
  status.replaceChildren(make("div", { id: "upload-preview" }, make("p", {}, t("notStoredYet")), figuresOf(report), readingPart(report.read)));
  const outcome = make("div");
  more.replaceChildren(outcome, questionsPart([...askedOfRejected(report), ...report.warnings], answers, again), answersPart(answers), make("div", { class: "buttons" }, store));
  askColumns(columns, file, headerOf(report.read), "");
  await showOutcome(known.region, report, outcome);
}

/**
 * @param {import("./run.js").Known} known @param {File} file @param {{status: any, more: any}} shown
 * @param {import("./columns.js").Columns} columns @param {URLSearchParams} query
 * @param {import("./questions.js").Answers} answers @param {(answers: import("./questions.js").Answers) => void} again
 */
async function storeFile(known, file, { status, more }, columns, query, answers, again) {
  const report = await sent(known, file, { status, more }, columns, query, answers, again);
  if (!report) return;
  status.replaceChildren(make("div", { id: "upload-report" }, figuresOf(report), readingPart(report.read)));
  // Its own place: by the time it is filled, `more` may hold the questions about another file.
  const outcome = make("div");
  more.replaceChildren(outcome);
  askColumns(columns, null, [], "");
  // Another region may be shown by now; nothing there has changed.
  if (view.region === known.region.id) await known.onChange();
  byId("upload-report")?.scrollIntoView({ block: "nearest" });
  await showOutcome(known.region, report, outcome);
}

/**
 * Send a file; null if the service refused it or asks a question, which is shown.
 * @param {import("./run.js").Known} known @param {File} file @param {{status: any, more: any}} shown
 * @param {import("./columns.js").Columns} columns @param {URLSearchParams} query
 * @param {import("./questions.js").Answers} answers @param {(answers: import("./questions.js").Answers) => void} again
 */
async function sent(known, file, { status, more }, columns, query, answers, again) {
  status.className = "status";
  more.className = "";
  more.replaceChildren();
  const bar = make("progress", { max: 1, value: 0, "aria-label": file.name });
  const text = make("div");
  status.replaceChildren(bar, text);
  const path = regionPath(known.region.id, `incidents?${query}`);
  try {
    return await sendFile(path, file, about(file.name), (share) => {
      // Without a value the bar moves to and fro: how long storing takes is not known.
      if (share < 1) bar.value = share;
      else bar.removeAttribute("value");
      const after = query.has("dry_run") ? "reading" : "storing";
      text.textContent = share < 1 ? t("sending", { name: file.name, percent: Math.round(100 * share) }) : t(after, { name: file.name });
    });
  } catch (error) {
    if (error instanceof ApiError && isOpen(error.code, answers)) {
      status.replaceChildren(questionsPart([error], answers, again));
      askColumns(columns, file, [], "");
    } else showRefusal(status, columns, file, error);
    return null;
  }
}

/** Say why a file is refused, and ask for what it needs. @param {any} status @param {import("./columns.js").Columns} columns @param {File} file @param {any} error */
function showRefusal(status, columns, file, error) {
  showErrorIn(status, error);
  const needed = error instanceof ApiError ? neededBy(error) : "";
  // If the mapping names a column that the file lacks, the service says which.
  if (error.code === "missing_column" && error.field !== "columns") {
    status.textContent = t(error.params.lacks === "hour" ? "columnsNoHour" : "columnsMissing");
  }
  askColumns(columns, file, error.params?.header ?? error.params?.columns ?? [], needed);
}

/**
 * Ask for what a file needs, such as which of its columns is which.
 * @param {import("./columns.js").Columns} columns @param {File | null} file @param {string[]} header as the service names it
 * @param {string} field "" if nothing is asked
 */
function askColumns(columns, file, header, field) {
  Object.assign(columns, { file, header, field });
  if (field) byId("columns-part").open = true;
  columns.ask?.();
}

/** Columns of a file that was read. @param {any} read the service's `read`, null if there is none @returns {string[]} */
const headerOf = (read) => (read ? [...Object.values(read.columns), ...read.not_read.filter((/** @type {any} */ one) => one.kind === "column").map((/** @type {any} */ one) => one.name)] : []);

/** Counts of an upload. @param {any} report */
function figuresOf(report) {
  const figures = ["received", "accepted", "duplicates", "rejected", "corrected", ...["outdated", "removed"].filter((name) => report[name])];
  return definitions(/** @type {[string, string][]} */ (figures.map((name) => [t(name), count(report[name])])));
}

/** What stands out in it: for an analyst with the charts of what it brought. @param {any} region @param {any} report @param {any} more */
async function showOutcome(region, report, more) {
  try {
    const { findingsOf } = await import("./data-report.js");
    more.replaceChildren(...(await findingsOf(region, report, may("report") && report.upload_id !== null)));
  } catch (error) {
    showErrorIn(more, error);
  }
}
