/** All regions at a glance: what tonight may bring, until when their data go, open alarms; and a search by name. */
import { forecastPath, getJson, regionPath } from "./api.js";
import { byId, make } from "./dom.js";
import { count, fixed, t } from "./i18n.js";
import { explain } from "./runs.js";
import { dayText, inZone, plusHours } from "./time.js";

/** So many regions are listed; a search finds the others. */
const LISTED = 40;
const AT_ONCE = 4;
const EVENING = "T18:00";
const NIGHT_HOURS = 12;
const SHORTEST_HOURS = 6;
const OLD_DAYS = 28;
const DAY_MS = 24 * 3.6e6;

/** @type {Map<string, Promise<any>>} what was read of each region, as long as the dialog is open */ const held = new Map();

/** The evening that comes or has begun. @param {string} zone */
function tonight(zone) {
  const now = inZone(new Date(), zone);
  const today = `${now.slice(0, 10)}${EVENING}`;
  return Number(now.slice(11, 13)) < SHORTEST_HOURS ? plusHours(today, -24) : today;
}

/** @param {any} region */
async function readRegion({ id, timezone, champion }) {
  if (!champion) return { expected: null, until: null, alarms: 0 };
  const from = tonight(timezone);
  const [series, { alarms }] = await Promise.all([
    getJson(forecastPath(id, "series", { from, to: plusHours(from, NIGHT_HOURS) })), getJson(regionPath(id, "alarms")),
  ]);
  return {
    expected: series.slots.reduce((/** @type {number} */ sum, /** @type {any} */ slot) => sum + slot.expected_total, 0),
    until: series.data_until, alarms: alarms.filter((/** @type {any} */ alarm) => !alarm.cleared_at).length,
  };
}

/** @param {any} region @param {any} found */
function figures({ timezone }, { expected, until, alarms }) {
  if (expected === null) return [t("noModelShort"), "–", "–"];
  const isOld = Date.now() - Date.parse(until) > OLD_DAYS * DAY_MS;
  return [fixed(expected), make("span", isOld ? { class: "late" } : {}, dayText(plusHours(inZone(until, timezone), -1))), make("span", alarms ? { class: "late" } : {}, count(alarms))];
}

/** @param {any} region @param {(id: string) => void} choose */
function lineOf({ id, name }, choose) {
  const pick = make("button", { type: "button", onclick: () => choose(id) }, name);
  return make("tr", { "data-region": id }, make("th", { scope: "row" }, pick), ...Array.from({ length: 3 }, () => make("td", {}, "…")));
}

/** @param {any[]} regions that are listed @param {any} body of the table */
async function fillLines(regions, body) {
  /** @type {any[]} */ const waiting = [...regions];
  const work = async () => {
    for (let region = waiting.shift(); region && body.isConnected; region = waiting.shift()) {
      const { id } = region;
      if (!held.has(id)) held.set(id, readRegion(region));
      const found = await /** @type {Promise<any>} */ (held.get(id)).then((/** @type {any} */ one) => figures(region, one), (/** @type {any} */ error) => [make("span", { title: explain(error) }, t("notRead")), "–", "–"]);
      const cells = body.querySelectorAll(`[data-region="${CSS.escape(id)}"] td`);
      found.forEach((/** @type {any} */ value, /** @type {number} */ i) => cells[i]?.replaceChildren(value));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/** Open the dialog. @param {(id: string) => void} onChoose */
export async function openOverview(onChoose) {
  const dialog = byId("overview");
  held.clear();
  const { regions } = await getJson("/v1/regions");
  const body = make("tbody");
  const more = make("p", { class: "note", role: "status" });
  const search = make("input", { type: "search", "aria-label": t("findRegion"), placeholder: t("findRegion") });
  const choose = (/** @type {string} */ id) => {
    dialog.close();
    onChoose(id);
  };
  const plain = (/** @type {string} */ text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const list = () => {
    const asked = plain(search.value.trim());
    const all = regions.filter((/** @type {any} */ r) => plain(`${r.name} ${r.id}`).includes(asked));
    body.replaceChildren(...all.slice(0, LISTED).map((/** @type {any} */ region) => lineOf(region, choose)));
    more.textContent = t("regionsFound", { n: count(Math.min(all.length, LISTED)), all: count(all.length) });
    fillLines(all.slice(0, LISTED), body);
  };
  search.addEventListener("input", list);
  const head = make("thead", {}, make("tr", {}, ...["region", "expectedTonight", "dataUntil", "alarms"].map((key) => make("th", { scope: "col" }, t(key)))));
  dialog.replaceChildren(
    make("h2", { id: "overview-title" }, t("allRegionsTitle")), search, more,
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("allRegionsTitle") }, make("table", {}, head, body)),
    make("p", { class: "note" }, t("tonightIs")), make("div", { class: "buttons" }, make("button", { type: "button", onclick: () => dialog.close() }, t("close"))),
  );
  dialog.showModal();
  list();
  search.focus();
}
