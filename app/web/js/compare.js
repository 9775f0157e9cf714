/** The forecast beside another one, of another time, kind or model: side by side, or as their difference. */
import { forecastPath, getJson } from "./api.js";
import { byId } from "./dom.js";
import { selectors } from "./export.js";
import { flagged, hotspotColour, ranking } from "./forecast.js";
import { fixed, t } from "./i18n.js";
import { contrastOf, scaleOf } from "./measures.js";
import { openMap } from "./open-map.js";
import { spanText } from "./time.js";
import { usual } from "./usual.js";
import { view } from "./view.js";

/** In the lists: all categories, whatever serves; "" is what the forecast itself has. */
const ANY = "*";
const FIELDS = /** @type {const} */ ({ "vs-category": "vsCategory", "vs-model": "vsModel" });

/** @type {any} */ let found = null;
/** @type {any} */ let second = null;
/** @type {any} */ let regionOfSecond = null;
let asked = 0;

/** Where the other one has a choice of its own, that. @param {string} own @param {string} shared */
const chosen = (own, shared) => (own === ANY ? "" : own || shared);

/** What the other forecast is asked for by. */
const otherAsked = () => ({
  region: view.region, at: view.vsAt || view.at, hours: view.hours,
  category: chosen(view.vsCategory, view.category), model: chosen(view.vsModel, view.model), weight: "",
});

/** Load the other forecast, where one is wanted. */
export async function loadOther() {
  const mine = ++asked;
  const of = otherAsked();
  const reply = view.vs && view.tab !== "plan" ? { ...(await getJson(forecastPath(view.region, "density", selectors(of)), { cache: "no-cache" })), asked: of } : null;
  if (mine === asked) found = reply;
}

/** The colours of what is shown: the difference where that is wanted and can be had. @param {any} shown @param {import("./measures.js").Scale | null} before */
export function scaleFor(shown, before) {
  if (view.tab === "plan") return scaleOf("probability", shown, usual(), before);
  const contrast = view.vs === "difference" && found ? contrastOf(shown, found) : null;
  return contrast ?? scaleOf(view.measure, shown, usual(), before);
}

/** The choices, once. @param {() => Promise<any>} showForecast */
export function openCompare(showForecast) {
  const part = byId("compare");
  const react = () => {
    part.open = true;
    return showForecast();
  };
  byId("vs").addEventListener("change", () => {
    view.vs = byId("vs").value;
    react();
  });
  const begin = () => { view.vs ||= "side"; };
  for (const [id, field] of Object.entries(FIELDS)) {
    byId(id).addEventListener("change", () => {
      begin();
      view[field] = byId(id).value;
      react();
    });
  }
  byId("vs-hour").replaceChildren(...Array.from({ length: 24 }, (_, h) => new Option(`${String(h).padStart(2, "0")}:00`)));
  for (const id of ["vs-date", "vs-hour"]) {
    byId(id).addEventListener("change", () => {
      if (!byId("vs-date").value) return;
      begin();
      view.vsAt = `${byId("vs-date").value}T${byId("vs-hour").value}`;
      react();
    });
  }
}

/** Show in the choices what the view says. @param {any} known the region and its models */
function syncChoices({ region, models }) {
  const option = (/** @type {string} */ value, /** @type {string} */ text) => new Option(text, value);
  byId("vs").replaceChildren(...["", "side", "difference"].map((how) => option(how, t(`vs_${how}`))));
  byId("vs-category").replaceChildren(option("", t("same")), option(ANY, t("allCategories")), ...Object.keys(region.categories).map((name) => option(name, name)));
  byId("vs-model").replaceChildren(option("", t("same")), option(ANY, t("whateverServes")), ...models.map((/** @type {any} */ m) => option(m.version, `${m.model} · ${m.trained_until.slice(0, 10)}`)));
  byId("vs").value = view.vs;
  byId("vs-category").value = view.vsCategory;
  byId("vs-model").value = view.vsModel;
  const at = view.vsAt || view.at;
  byId("vs-date").value = at.slice(0, 10);
  byId("vs-hour").value = at.slice(11);
  if (view.vs) byId("compare").open = true;
}

/** What a forecast is of, in words. @param {any} one a reply with what it was asked for by @param {any} known */
function nameOf(one, { region, models }) {
  const version = models.find((/** @type {any} */ m) => m.version === one.model_version);
  const model = version ? `${version.model} ${version.trained_until.slice(0, 10)}` : one.model_version;
  return [spanText(one, region.timezone), one.asked.category || t("allCategories"), model].join(" · ");
}

/** Draw the other forecast, and what is compared. @param {any} known @param {any} shown @param {import("./measures.js").Scale} scale of what is shown */
export async function drawOther(known, shown, scale) {
  syncChoices(known);
  const isSide = view.vs === "side" && found !== null && typeof openMap()?.tie === "function";
  document.body.dataset.vs = view.vs;
  byId("map-b").hidden = byId("name-a").hidden = byId("name-b").hidden = !isSide;
  if (!view.vs || !found) {
    byId("vs-text").textContent = "";
    return;
  }
  const isUnlike = view.vs === "difference" && scale.title !== "contrast";
  byId("vs-text").textContent = `${t("comparedWith", { other: nameOf(found, known), n: fixed(shown.expected_total), m: fixed(found.expected_total) })}${isUnlike ? ` ${t("unlikeCells")}` : ""}`;
  if (!isSide) return;
  byId("name-a").textContent = nameOf(shown, known);
  byId("name-b").textContent = nameOf(found, known);
  const map = await secondMap();
  if (!found) return;
  if (regionOfSecond !== known.region.id) {
    map.showRegion(known.region, "");
    regionOfSecond = known.region.id;
    openMap().tie(map);
  }
  // One scale for both, or they could not be compared by eye.
  map.paint(found, scaleOf(view.measure, found, usual(), scale));
  map.outline(flagged(found, ranking(found)[0]), hotspotColour());
  map.choose(view.cell);
}

/** The map of the other forecast, opened when it is first wanted. */
async function secondMap() {
  if (!second) {
    const { ForecastMap } = await import("./map.js");
    const nothing = () => {};
    second = (async () => {
      const map = new ForecastMap(nothing, nothing, nothing, "map-b");
      await map.open();
      return map;
    })();
  }
  return second;
}
