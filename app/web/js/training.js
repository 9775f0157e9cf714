/** Train a model and watch it; a run that is under way is found again after a reload. */
import { getJson, postJson, regionPath, request } from "./api.js";
import { byId, make } from "./dom.js";
import { t } from "./i18n.js";
import { ended, followEvents, notice, showErrorIn } from "./runs.js";
import { view } from "./view.js";

export const TRAINABLE = ["stack", "maf", "cox", "recent-kde", "multi-kde", "pooled-kde", "window-kde", "gmm", "sepp"];

/** The run that is watched; its line outlives the redraw that follows each change. */
const watched = { region: "", run: "", status: notice("training-status") };

/** @param {import("./run.js").Known} known */
export function trainingPart(known) {
  const { region } = known;
  if (watched.region !== region.id) Object.assign(watched, { region: region.id, run: "", status: notice("training-status") });
  const { status } = watched;
  const model = make("select", { id: "train-model", "aria-label": t("model") }, ...TRAINABLE.map((name) => make("option", {}, name)));
  const validate = make("input", { type: "checkbox", id: "validate", checked: true });
  const start = make("button", { type: "button", id: "start-training", class: "primary", disabled: !region.incidents }, t("startTraining"));
  const cancel = make("button", { type: "button", id: "cancel-training", onclick: () => stop(region.id, status) }, t("cancel"));
  start.addEventListener("click", async () => {
    status.className = "status";
    start.disabled = true;
    try {
      const run = await postJson(regionPath(region.id, "training-runs"), { model: model.value, validate: validate.checked });
      await watch(known, run.id);
    } catch (error) {
      showErrorIn(status, error);
      mark(region);
    }
  });
  const tick = make("label", {}, validate, " ", t("validateFirst"));
  queueMicrotask(() => mark(region));
  return [make("h3", {}, t("train")), make("div", { class: "buttons" }, model, start, cancel), make("div", { class: "note" }, tick), status];
}

/** Which of the buttons apply. @param {any} region */
function mark(region) {
  const [start, cancel] = [byId("start-training"), byId("cancel-training")];
  if (!start) return;
  start.disabled = !region.incidents || watched.run !== "";
  cancel.hidden = watched.run === "";
}

/** @param {string} region @param {any} status */
async function stop(region, status) {
  try {
    await request(regionPath(region, `training-runs/${watched.run}`), { method: "DELETE" });
  } catch (error) {
    showErrorIn(status, error);
  }
}

/** @param {import("./run.js").Known} known @param {string} run its id */
async function watch(known, run) {
  const { status } = watched;
  watched.run = run;
  mark(known.region);
  try {
    await followEvents(regionPath(known.region.id, `training-runs/${run}`), status);
  } finally {
    if (watched.run === run) watched.run = "";
    mark(known.region);
  }
  if (view.region === known.region.id) await known.onChange();
}

/** Watch the region's run that is under way, if there is one. @param {import("./run.js").Known} known */
export async function resumeTraining(known) {
  if (watched.run) return;
  try {
    const { training_runs: runs } = await getJson(regionPath(known.region.id, "training-runs"));
    const running = runs.find((/** @type {any} */ run) => !ended(run));
    if (running && !watched.run && watched.region === known.region.id) await watch(known, running.id);
  } catch (error) {
    showErrorIn(watched.status, error);
  }
}
