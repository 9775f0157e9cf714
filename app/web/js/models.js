/** The region's model versions: which serves, which could. */
import { may } from "./access.js";
import { regionPath, request } from "./api.js";
import { make } from "./dom.js";
import { count, fixed, t } from "./i18n.js";
import { notice, showErrorIn } from "./runs.js";
import { dayText, inZone } from "./time.js";

const SHOWN_MODELS = 8;
const SHOWN_PERCENT = "5";

const shown = { region: "", status: notice("models-status") };

/** @param {import("./run.js").Known} known */
export function modelsPart({ region, models, onChange }) {
  if (shown.region !== region.id) Object.assign(shown, { region: region.id, status: notice("models-status") });
  const { status } = shown;
  const change = async (/** @type {string} */ action, /** @type {string} */ key) => {
    status.className = "status";
    try {
      const reply = await (await request(regionPath(region.id, `models/${action}`), { method: "POST" })).json();
      await onChange();
      status.textContent = t(key, { version: reply.champion });
    } catch (error) {
      showErrorIn(status, error);
    }
  };
  const lines = models.slice(0, SHOWN_MODELS).map((/** @type {any} */ version) => {
    const action = version.champion
      ? make("span", { class: "badge" }, t("serving"))
      : make("button", { type: "button", disabled: !may("train"), onclick: () => change(`${version.version}/promote`, "promoted"), "aria-label": `${t("promote")}: ${version.version}` }, t("promote"));
    return make("li", { title: version.version }, about(version, region), action);
  });
  const back = make("button", { type: "button", id: "rollback", onclick: () => change("rollback", "rolledBack") }, t("rollback"));
  const list = [make("h3", {}, t("models")), models.length ? make("ul", { class: "models" }, ...lines) : make("p", { class: "note" }, t("noModels"))];
  return [...list, ...(may("train") && models.length > 1 ? [back] : []), status];
}

/** @param {any} version @param {any} region */
function about(version, region) {
  const caught = version.scores?.hit_rate?.[SHOWN_PERCENT];
  const until = `${t("trainedUntil")} ${dayText(inZone(version.trained_until, region.timezone))} · ${t("incidents", { n: count(version.n_incidents) })}`;
  const score = caught === undefined ? t("notValidated") : t("topFiveCaught", { rate: fixed(100 * caught, 0) });
  return make("span", { class: "name" }, make("strong", {}, version.model), make("span", { class: "note block" }, until), make("span", { class: "note block" }, score));
}
