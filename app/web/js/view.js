/** What is being looked at; the page's address always holds it. */
import { asDate } from "./time.js";

export const MEASURES = ["probability", "expected", "width", "band", "difference"];
export const MAX_HOURS = 24;
export const TABS = ["plan", "forecast", "trust", "run", "take"];
export const SIZES = ["small", "medium", "large"];
export const MAX_CARS = 10;
/** Whose earlier plan the zones of a plan keep to. */
export const FOLLOWED = ["shift", "day"];
const MAX_APART_M = 50_000;
const ENTRY_MS = 1_000;

const DEFAULTS = {
  region: "",
  at: "",
  hours: 1,
  measure: "probability",
  top: 5,
  category: "",
  model: "",
  cell: /** @type {number | null} */ (null),
  place: "",
  tab: "plan",
  cars: 3,
  size: "medium",
  /** Least distance between zones, metres. */
  apart: 0,
  weight: "",
  /** Zones changed by hand, as ids of cells: `1.2.3_7.8`; "" leaves them to the service. */
  zones: "",
  /** Layer of which each zone stays in one area, the one area that all stay in, and the earlier plan that is followed. */
  within: "", area: "", follow: "",
  strip: "",
  /** How another forecast is shown beside this one: "", side or difference; what differs, "" for nothing. */
  vs: "", vsAt: "", vsCategory: "", vsModel: "",
  /** Of areas, with names and totals. */
  layer: "",
  embed: "", theme: "",
  /** An embedded map that was asked for without an hour goes with the clock. */
  isLive: false,
  lang: /** @type {string | null} */ (null),
};
export const view = { ...DEFAULTS };

/** Read the address; anything that makes no sense is left at its default. */
export function readAddress() {
  Object.assign(view, DEFAULTS);
  const given = new URLSearchParams(location.search);
  const text = (/** @type {string} */ name) => given.get(name) ?? "";
  view.region = text("region");
  const hour = (/** @type {string} */ name) => (/^\d{4}-\d\d-\d\dT\d\d:00$/.test(text(name)) && !Number.isNaN(asDate(text(name)).getTime()) ? text(name) : "");
  view.at = hour("at");
  view.vs = ["side", "difference"].includes(text("vs")) ? text("vs") : "";
  Object.assign(view, { vsAt: hour("vs_at"), vsCategory: text("vs_category"), vsModel: text("vs_model") });
  view.embed = text("embed") === "1" ? "1" : "";
  view.isLive = view.embed !== "" && view.at === "";
  view.theme = ["dark", "light"].includes(text("theme")) ? text("theme") : "";
  view.hours = within(Number(text("hours")), 1, MAX_HOURS, 1);
  view.top = within(Number(text("top")), 1, 20, 5);
  if (MEASURES.includes(text("measure"))) view.measure = text("measure");
  view.category = text("category");
  view.model = text("model");
  view.cell = /^\d+$/.test(text("cell")) ? Number(text("cell")) : null;
  view.place = /^[\d.]+\/-?[\d.]+\/-?[\d.]+$/.test(text("map")) ? text("map") : "";
  // A link to an hour or a cell without a tab is one to its forecast.
  view.tab = TABS.find((name) => name === text("tab")) ?? (["at", "cell", "measure", "top", "embed", "vs", "strip"].some((name) => given.has(name)) ? "forecast" : "plan");
  view.cars = within(Number(text("cars")), 1, MAX_CARS, 3);
  if (SIZES.includes(text("size"))) view.size = text("size");
  view.apart = within(Number(text("apart")), 0, MAX_APART_M, 0);
  view.weight = text("weight") === "harm" ? "harm" : "";
  view.zones = /^\d+([._]\d+)*$/.test(text("zones")) ? text("zones") : "";
  view.within = /^[\w-]*$/.test(text("within")) ? text("within") : "";
  view.area = view.within ? text("area") : "";
  view.follow = FOLLOWED.includes(text("follow")) ? text("follow") : "";
  view.layer = /^[\w-]*$/.test(text("layer")) ? text("layer") : "";
  view.strip = text("strip") === "data" ? "data" : "";
  view.lang = given.get("lang");
}

/** @param {number} value @param {number} low @param {number} high @param {number} otherwise */
const within = (value, low, high, otherwise) =>
  Number.isInteger(value) && value >= low && value <= high ? value : otherwise;

/** The address that restores this view. */
export function address() {
  const { region, at, hours, measure, top, category, model, cell, place, tab, strip, layer, vs, embed, theme, lang } = view;
  const other = vs ? { vs, vs_at: view.vsAt, vs_category: view.vsCategory, vs_model: view.vsModel } : {};
  const { cars, size, apart, weight, zones, within, area, follow } = view;
  const plan = tab === "plan" ? { cars, size, apart: apart || "", weight, within, area, follow, zones } : {};
  const state = { region, at: view.isLive ? "" : at, hours, measure, top, category, model, cell, map: place, tab, ...plan, strip, layer, ...other, embed, theme, lang };
  const given = Object.entries(state).filter(([, value]) => value !== "" && value !== null);
  return `${location.pathname}?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}`;
}

/** What the browser's Back goes through: what is looked at, not how. */
const looked = () => [view.region, view.at, view.hours, view.category, view.model, view.tab, view.cars, view.size, view.apart, view.weight, view.within, view.area, view.follow, view.zones].join("|");
let last = "";
let changedMs = -Infinity;

/** Write the address: a new entry of the history for something else to look at, unless it follows the last one at once, as while dragging. */
export function writeAddress() {
  const now = looked();
  const isNew = last !== "" && now !== last && address() !== location.pathname + location.search;
  if (isNew && Date.now() - changedMs > ENTRY_MS) history.pushState(null, "", address());
  else history.replaceState(null, "", address());
  if (isNew) changedMs = Date.now();
  last = now;
}

/** What is asked for now. */
export function askedFor() {
  const { region, at, hours, category, model, tab, weight } = view;
  return { region, at, hours, category, model, weight: tab === "plan" ? weight : "" };
}
