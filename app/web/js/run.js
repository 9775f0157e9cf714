/** Run it: what the region holds, uploads, training, models, new regions. */
import { getJson, postJson, request, sendFile } from "./api.js";
import { byId, make, definitions } from "./dom.js";
import { count, t } from "./i18n.js";
import { explain, followEvents } from "./runs.js";
import { dayText, inZone } from "./time.js";

const TYPES = /** @type {Record<string, string>} */ ({
  csv: "text/csv", txt: "text/csv", tsv: "text/tab-separated-values", json: "application/json",
  ndjson: "application/x-ndjson", jsonl: "application/x-ndjson", geojson: "application/geo+json",
  parquet: "application/vnd.apache.parquet",
});
const TRAINABLE = ["stack", "maf", "recent-kde", "multi-kde", "pooled-kde", "window-kde", "gmm", "sepp"];
const SHOWN_ERRORS = 5;
const SHOWN_MODELS = 8;

/** What was said about a region outlives the redraw that follows each change. */
const notices = { region: "", upload: notice("upload-status"), training: notice("training-status"), models: notice("models-status") };

/** @param {string} id */
function notice(id) {
  return make("div", { class: "status", role: "status", id });
}

/** @param {string} region */
function clearNoticesOfOthers(region) {
  if (notices.region === region) return;
  notices.region = region;
  for (const told of [notices.upload, notices.training, notices.models]) {
    told.className = "status";
    told.replaceChildren();
  }
}

/**
 * @param {{region: any, models: any[], onChange: (region?: string) => Promise<void>}} known region null: there is none yet
 */
export function drawRun(known) {
  const { region } = known;
  clearNoticesOfOthers(region?.id ?? "");
  const parts = region ? [holds(region), ...uploadPart(known), ...trainingPart(known), ...modelsPart(known)] : [make("p", { class: "notice" }, t("noRegion"))];
  byId("pane-run").replaceChildren(...parts, ...newRegionPart(known));
}

/** @param {any} region */
function holds(region) {
  if (!region.incidents) return make("p", { class: "notice" }, t("noIncidents"));
  const day = (/** @type {string} */ at) => dayText(inZone(at, region.timezone));
  return make("p", { id: "holds" }, t("regionHolds", { n: count(region.incidents), from: day(region.first_at), to: day(region.last_at) }));
}

/** @param {any} region */
const base = (region) => `/v1/regions/${encodeURIComponent(region.id)}`;

/** @param {any} known */
function uploadPart(known) {
  const status = notices.upload;
  const input = make("input", { type: "file", id: "file", accept: Object.keys(TYPES).map((e) => `.${e}`).join(",") });
  const drop = make("div", { id: "drop" }, t("dropHere"), " ", input, make("label", { for: "file" }, t("choose")), make("div", { class: "note" }, t("formats")));
  const send = (/** @type {File | undefined} */ file) => file && upload(known, file, status);
  input.addEventListener("change", () => send(input.files[0]));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (/** @type {any} */ event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") send(event.dataTransfer.files[0]);
    });
  }
  return [make("h3", {}, t("upload")), drop, status];
}

/** @param {any} known @param {File} file @param {any} status */
async function upload(known, file, status) {
  status.className = "status";
  const bar = make("progress", { max: 1, value: 0, "aria-label": file.name });
  const text = make("div");
  status.replaceChildren(bar, text);
  const type = TYPES[file.name.split(".").pop()?.toLowerCase() ?? ""] ?? "text/csv";
  try {
    const report = await sendFile(`${base(known.region)}/incidents`, file, type, (share) => {
      bar.value = share;
      const percent = Math.round(100 * share);
      text.textContent = share < 1 ? t("sending", { name: file.name, percent }) : t("storing", { name: file.name });
    });
    await known.onChange();
    status.replaceChildren(uploadReport(report));
  } catch (error) {
    status.classList.add("bad");
    status.textContent = explain(error);
  }
}

/** The data report of an upload. @param {any} report */
function uploadReport(report) {
  const figures = ["received", "accepted", "duplicates", "rejected", "corrected"];
  const problems = [...report.warnings, ...report.errors.slice(0, SHOWN_ERRORS).map((/** @type {any} */ e) => t("rowProblem", { row: e.row, message: e.message }))];
  return make("div", { id: "upload-report" },
    definitions(/** @type {[string, string][]} */ (figures.map((name) => [t(name), count(report[name])]))),
    make("ul", { class: "plain" }, ...problems.map((text) => make("li", {}, text))));
}

/** @param {any} known */
function trainingPart(known) {
  const { region, onChange } = known;
  const status = notices.training;
  const model = make("select", { id: "train-model", "aria-label": t("model") }, ...TRAINABLE.map((name) => make("option", {}, name)));
  const validate = make("input", { type: "checkbox", id: "validate", checked: true });
  const start = make("button", { type: "button", id: "start-training", class: "primary", disabled: !region.incidents }, t("startTraining"));
  const cancel = make("button", { type: "button", hidden: true }, t("cancel"));
  start.addEventListener("click", async () => {
    status.className = "status";
    try {
      const run = await postJson(`${base(region)}/training-runs`, { model: model.value, validate: validate.checked });
      const path = `${base(region)}/training-runs/${run.id}`;
      start.disabled = true;
      cancel.hidden = false;
      cancel.onclick = () => request(path, { method: "DELETE" }).catch((error) => { status.textContent = explain(error); });
      await followEvents(path, status);
      await onChange();
    } catch (error) {
      status.classList.add("bad");
      status.textContent = explain(error);
    }
  });
  const tick = make("label", {}, validate, " ", t("validateFirst"));
  return [make("h3", {}, t("train")), make("div", { class: "buttons" }, model, start, cancel), make("div", { class: "note" }, tick), status];
}

/** @param {any} known */
function modelsPart({ region, models, onChange }) {
  const status = notices.models;
  const lines = models.slice(0, SHOWN_MODELS).map((/** @type {any} */ version) => {
    const promote = async () => {
      try {
        await request(`${base(region)}/models/${version.version}/promote`, { method: "POST" });
        await onChange();
        status.textContent = t("promoted", { version: version.version });
      } catch (error) {
        status.textContent = explain(error);
      }
    };
    const action = version.champion
      ? make("span", { class: "badge" }, t("serving"))
      : make("button", { type: "button", onclick: promote, "aria-label": `${t("promote")}: ${version.version}` }, t("promote"));
    const name = make("span", { class: "name" }, make("strong", {}, version.model), make("br"), make("span", { class: "note" }, `${t("trainedUntil")} ${dayText(inZone(version.trained_until, region.timezone))}`));
    return make("li", { title: version.version }, name, action);
  });
  return [make("h3", {}, t("models")), make("ul", { class: "models" }, ...lines), status];
}

/** @param {any} known */
function newRegionPart({ onChange }) {
  const id = make("input", { name: "id", required: true, pattern: "[a-z0-9_\\-]{1,63}", autocomplete: "off" });
  const zone = make("input", { name: "timezone", required: true, value: Intl.DateTimeFormat().resolvedOptions().timeZone });
  const status = make("div", { class: "status bad", role: "status" });
  const form = make("form", { class: "stack", id: "new-region" }, make("label", {}, t("regionId"), id), make("label", {}, t("timezone"), zone), make("button", {}, t("create")), status);
  form.addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      const made = await postJson("/v1/regions", { id: id.value, timezone: zone.value });
      await onChange(made.id);
    } catch (error) {
      status.textContent = explain(error);
    }
  });
  return [make("details", {}, make("summary", {}, t("newRegion")), form)];
}

/** @param {string} region */
export async function knownRegion(region) {
  const path = `/v1/regions/${encodeURIComponent(region)}`;
  const [told, { models, champion }] = await Promise.all([getJson(path), getJson(`${path}/models`)]);
  return { region: told, models, champion };
}
