/** A new region: its name, its time zone, its boundary where there is a file. */
import { postJson } from "./api.js";
import { make } from "./dom.js";
import { t } from "./i18n.js";
import { showErrorIn } from "./runs.js";

/** @param {import("./run.js").Known} known @param {boolean} open */
export function newRegionPart({ onChange }, open) {
  const id = make("input", { name: "id", required: true, pattern: "[a-z0-9][a-z0-9_\\-]{0,62}", autocomplete: "off", title: t("regionIdRule") });
  const name = make("input", { name: "name", maxlength: 200, autocomplete: "off" });
  const zone = make("input", { name: "timezone", required: true, value: Intl.DateTimeFormat().resolvedOptions().timeZone });
  const zones = make("datalist", { id: "zones" }, ...Intl.supportedValuesOf("timeZone").map((value) => make("option", { value })));
  zone.setAttribute("list", zones.id);
  const boundary = make("input", { name: "boundary", type: "file", accept: ".geojson,.json" });
  const status = make("div", { class: "status bad", role: "status" });
  const line = (/** @type {string} */ text, /** @type {Node} */ field) => make("label", {}, make("span", {}, text), field);
  const form = make("form", { class: "stack", id: "new-region" },
    line(t("regionId"), id), line(t("regionName"), name), line(t("timezone"), zone), zones, line(t("boundary"), boundary),
    make("p", { class: "note" }, t("boundaryHint")), make("button", {}, t("create")), status);
  form.addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      const drawn = boundary.files[0] ? parsed(await boundary.files[0].text()) : null;
      const made = await postJson("/v1/regions", { id: id.value, name: name.value || null, timezone: zone.value, boundary: drawn });
      await onChange(made.id);
    } catch (error) {
      showErrorIn(status, error);
    }
  });
  return [make("details", { open, class: "part" }, make("summary", {}, t("newRegion")), form)];
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(t("notGeojson"));
  }
}
