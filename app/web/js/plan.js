/** The plan of a shift: what is asked for, the zones that were replied, and where they lie on the map. */
import { forecastPath, getJson, postJson, regionPath } from "./api.js";
import { byId, make } from "./dom.js";
import { selectors } from "./export.js";
import { count, number, t } from "./i18n.js";
import { openMap } from "./open-map.js";
import { addPart, cellsOf, clickedCell, openEdit, pricePart, setGround, stopEdit, zoneBelow, zoneTools, zonesIn, zonesText } from "./plan-edit.js";
import { formerPart, formerSpan, keepAsked, followLines, zoneNotes, openKeep, outlineAreas, syncKeep } from "./plan-keep.js";
import { drawActions, fillPlanSheet } from "./plan-paper.js";
import { planParts, squareMiles } from "./plan-view.js";
import { ZoneOverlay, zonesOf } from "./plan-zones.js";
import { messageText } from "./service-messages.js";
import { shiftChoice, shiftName, shiftOf, shiftsOf, spanOf } from "./shifts.js";
import { inZone, longDayText, plusHours, timesText, zoneText } from "./time.js";
import { MAX_CARS, SIZES, askedFor, view } from "./view.js";
import { addWhy } from "./why.js";

/** Area of a small zone, km2; of larger cells one is the least. */
const SMALL_KM2 = 0.125;
const APART_M = [0, 500, 1000, 2000, 5000];

/** @type {any} the reply that is shown, with what was asked */ let shown = null;
/** @type {any} */ let region = null;
/** @type {any} the forecast of the cells beneath */ let cells = null;
/** Regions whose categories have weights of harm. @type {Map<string, boolean>} */ const weighed = new Map();
let chosen = 0;
/** @type {any} the map that has the overlay */ let attached = null;
const overlay = new ZoneOverlay((rank) => choose(rank));

export const shownPlan = () => shown;

/** Area of one zone, on average. @param {string} size @param {any} of a region */
function zoneKm2(size, of) {
  const cell = (of.cell_size_m / 1000) ** 2;
  return Math.max(SMALL_KM2, cell) * 2 ** SIZES.indexOf(size);
}

/** What the service is asked for. @param {any} of a region @param {{at: string, hours: number}} span @returns {Record<string, any>} */
function planAsked(of, { at, hours }) {
  const shift = of.shifts && shiftOf(of, { at, hours });
  const when = shift ? { shift: shift.name, date: at.slice(0, 10) } : {};
  const { category, model, weight, ...times } = selectors({ ...askedFor(), at, hours });
  return { ...(shift ? when : times), category, model, weight, n: view.cars, max_km2: view.cars * zoneKm2(view.size, of), min_separation_m: view.apart || "", ...keepAsked() };
}

/** Ask for the zones of what view says. @param {any} of a region */
export async function loadPlan(of) {
  const asked = planAsked(of, view);
  const zones = zonesIn(view.zones);
  const path = forecastPath(of.id, "zones", asked);
  const weights = loadWeights(of.id);
  const former = zones.length ? null : await loadFormer(of);
  const sent = zones.length ? { zones } : former ? { previous: cellsOf(former) } : undefined;
  const [reply] = await Promise.all([sent ? postJson(path, sent) : getJson(path, { cache: "no-cache" }), weights]);
  return { ...reply, asked: { ...asked, region: of.id }, zones, former, sent };
}

/** The earlier plan that is followed, if one is. @param {any} of a region */
async function loadFormer(of) {
  const span = formerSpan(of);
  return span && { ...(await getJson(forecastPath(of.id, "zones", planAsked(of, span)), { cache: "no-cache" })), span };
}

/** Harm is offered where the region has weights. @param {string} id */
async function loadWeights(id) {
  if (weighed.has(id)) return;
  weighed.set(id, false);
  const { weights } = await getJson(regionPath(id, "categories")).catch(() => ({ weights: {} }));
  weighed.set(id, Object.keys(weights).length > 0);
  syncPlan(region);
}

/** Draw a plan and what it was asked by. @param {any} of its region @param {any} plan a reply of `loadPlan` @param {string[]} opening notes @param {any} density the cells beneath */
export function drawPlan(of, plan, opening, density) {
  [region, shown] = [of, plan];
  cells = density;
  setGround(density);
  if (chosen > plan.n_zones) chosen = 0;
  const shift = shiftOf(of, { at: `${plan.at.slice(0, 13)}:00`, hours: view.hours });
  const isTonight = shift?.name === "night" && plan.at.slice(0, 10) === inZone(new Date(), of.timezone).slice(0, 10);
  byId("plan-when").textContent = [isTonight ? t("planTonight") : shift && shiftName(shift.name), timesText(plan, of.timezone)].filter(Boolean).join(", ");
  byId("plan-zone").textContent = `${longDayText(plan.at)} · ${zoneText(plan.at, of.timezone)}`;
  // Those that always hold are under Evaluation.
  const lines = [...opening, ...plan.warnings.filter((/** @type {any} */ { code }) => code !== "boundary_derived").map(messageText)];
  byId("plan-notice").hidden = lines.length === 0;
  byId("plan-notice").textContent = lines.join(" ");
  redrawPlan();
}

function redrawPlan() {
  if (!shown) return;
  const key = document.activeElement?.closest("#plan") && document.activeElement.getAttribute("data-key");
  byId("plan").replaceChildren(...planParts(shown, region.timezone, {
    chosen, onZone: choose, changed: [...pricePart(shown), ...followLines(shown, region)], words: zoneNotes, after: addPart(shown, MAX_CARS), facts: formerPart(shown),
    tools: (zone) => zoneTools(shown, zone), below: (zone) => [...zoneBelow(shown, zone), ...whyPart(zone)],
  }));
  if (key) byId("plan").querySelector(`[data-key="${key}"]`)?.focus({ preventScroll: true });
  drawActions(shown);
  mapPlan();
}

/** Why a zone is chosen, below the one that somebody looks at; harm has no factors. @param {any} zone */
function whyPart({ rank, cells: ids }) {
  if (rank !== chosen || shown.asked.weight) return [];
  const part = make("div", { class: "zone-why" });
  addWhy(part, cells, ids);
  return [part];
}

/** Without a forecast there is no plan. @param {string} why */
export function clearPlan(why) {
  shown = null;
  stopEdit();
  byId("plan-when").textContent = why;
  for (const id of ["plan-zone", "plan", "plan-actions"]) byId(id).replaceChildren();
  byId("plan-notice").hidden = byId("plan-actions").hidden = true;
  mapPlan();
}

/** Put the zones on the map, or take them off where something else is looked at. */
export function mapPlan() {
  const map = openMap();
  if (!map) return;
  if (attached !== map) map.attach(overlay);
  attached = map;
  const zones = shown && view.tab === "plan" ? zonesOf(shown) : [];
  if (region) outlineAreas(map, region);
  map.frame(zones.flatMap(({ rings }) => rings.flat()));
  overlay.show(zones, chosen);
}

/** @param {number | null} id a cell that was clicked on the map */
export function clickPlan(id) {
  if (id !== null) clickedCell(shown, id);
}

/** Fill the page that the browser prints. @param {any} of the region */
export function fillPlanPaper(of) {
  const picture = openMap()?.picture() ?? null;
  if (picture) overlay.paintOn(picture, byId("map").clientWidth);
  fillPlanSheet(of, shown, picture);
}

/** @param {number} rank */
function choose(rank) {
  chosen = rank === chosen ? 0 : rank;
  redrawPlan();
  byId("plan").querySelector(`[data-rank="${rank}"]`)?.scrollIntoView({ block: "nearest" });
}

/** @param {string} name */
const sizeText = (name) => t("sizeOption", { size: t(`size_${name}`), m: count(across(name)) });
/** Side of a square zone, metres. @param {string} name */
const across = (name) => Math.round(Math.sqrt(zoneKm2(name, region)) * 20) * 50;
const distanceText = (/** @type {number} */ m) => (m === 0 ? t("apartAny") : t("apartAtLeast", { d: m < 1000 ? `${m} m` : `${number(m / 1000)} km` }));

/** Show in the form what view says. @param {any} of a region */
export function syncPlan(of) {
  if (!of) return;
  region = of;
  const option = (/** @type {string} */ value, /** @type {string} */ text) => new Option(text, value);
  const fill = (/** @type {string} */ id, /** @type {HTMLOptionElement[]} */ options, /** @type {string | number} */ value) => {
    byId(id).replaceChildren(...options);
    byId(id).value = String(value);
  };
  const shift = shiftOf(of, view);
  const options = shiftsOf(of).map((one) => option(one.name, shiftChoice(one)));
  // Hours that were chosen on the week are no shift.
  const own = { name: t("hoursChosen"), start: view.at.slice(11), end: view.at && plusHours(view.at, view.hours).slice(11) };
  fill("plan-shift", shift ? options : [...options, option("", shiftChoice(own))], shift?.name ?? "");
  byId("plan-date").value = view.at.slice(0, 10);
  byId("plan-cars").value = String(view.cars);
  byId("cars-less").disabled = view.cars <= 1;
  byId("cars-more").disabled = view.cars >= MAX_CARS;
  fill("plan-size", SIZES.map((name) => option(name, sizeText(name))), view.size);
  const harm = weighed.get(of.id) || view.weight ? [option("harm", t("byHarm"))] : [];
  fill("plan-kinds", [option("", t("allCategories")), ...harm, ...Object.keys(of.categories).map((name) => option(`=${name}`, name))], view.weight || (view.category && `=${view.category}`));
  fill("plan-apart", [...new Set([...APART_M, view.apart])].sort((a, b) => a - b).map((m) => option(String(m), distanceText(m))), view.apart);
  const each = zoneKm2(view.size, of);
  byId("plan-size-note").textContent = t("sizeNote", { m: count(across(view.size)), km2: number(each, 2), mi2: squareMiles(each) });
  syncKeep(of, mapPlan);
  if (view.category || view.weight || view.apart) byId("plan-more").open = true;
  byId("plan-summary").textContent = t("planSummary", {
    cars: view.cars === 1 ? t("carsOne") : t("carsMany", { n: view.cars }), size: t(`size_${view.size}`).toLocaleLowerCase(),
  });
}

/**
 * @param {{showForecast: () => Promise<any>, region: () => any, moved: () => void}} act
 */
export function openPlan(act) {
  const wide = matchMedia("(min-width: 901px)");
  const fold = () => { byId("plan-choices").open = wide.matches; };
  wide.addEventListener("change", fold);
  fold();
  const change = (/** @type {Partial<typeof view>} */ what) => {
    // Zones made by hand are of the plan that they were made for.
    Object.assign(view, { zones: "", ...what });
    act.moved();
    return act.showForecast();
  };
  const on = (/** @type {string} */ id, /** @type {(value: string) => any} */ react) => byId(id).addEventListener("change", (/** @type {any} */ event) => react(event.target.value));
  openEdit({ change: (zones) => change({ zones: zonesText(zones) }), redraw: redrawPlan });
  byId("plan-form").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  on("plan-shift", (name) => {
    const shift = shiftsOf(act.region()).find((one) => one.name === name);
    if (shift) change(spanOf(shift, view.at.slice(0, 10)));
  });
  on("plan-date", (date) => date && change({ at: `${date}${view.at.slice(10)}` }));
  on("plan-cars", (n) => change({ cars: Math.min(Math.max(Math.round(Number(n)) || 1, 1), MAX_CARS) }));
  on("plan-size", (size) => change({ size }));
  on("plan-kinds", (kind) => change(kind === "harm" ? { weight: "harm", category: "" } : { weight: "", category: kind.slice(1) }));
  openKeep(on, change);
  on("plan-apart", (m) => change({ apart: Number(m) }));
  for (const [id, step] of /** @type {[string, number][]} */ ([["cars-less", -1], ["cars-more", 1]])) {
    byId(id).addEventListener("click", () => change({ cars: Math.min(Math.max(view.cars + step, 1), MAX_CARS) }));
  }
}

