/** What plans of the same number and area caught before, beside last year's list and loose squares: as large where it is unfavourable. */
import { forecastPath, getJson } from "./api.js";
import { make } from "./dom.js";
import { percent } from "./forecast.js";
import { count, t } from "./i18n.js";
import { dayText, inZone } from "./time.js";

const RIVALS = /** @type {const} */ (["zones", "last_year", "last_year_hours", "free_cells"]);
/** @type {Map<string, Promise<any>>} Asked for once: a record takes seconds. */ const held = new Map();

/** @param {any} plan with what it was asked by @returns {Promise<any>} */
function ask({ asked: { region, ...asked }, model_version: version }) {
  const path = forecastPath(region, "zones", { ...asked, record: true });
  const key = `${path} ${version}`;
  const found = held.get(key) ?? getJson(path);
  held.set(key, found);
  found.catch(() => held.delete(key));
  return found;
}

/** @param {any} record @param {string} zone */
export function recordParts(record, zone) {
  const shown = RIVALS.filter((name) => name in record);
  const end = Math.max(...shown.map((name) => record[name].hi ?? 0), 1e-9);
  const place = (/** @type {number} */ share) => `${((100 * share) / end).toFixed(1)}%`;
  const rows = shown.map((name) => {
    const { hits, share, lo, hi } = record[name];
    return make("tr", { class: name === "zones" ? "own" : "" }, make("th", { scope: "row" }, t(`record_${name}`)),
      make("td", {}, count(hits)), make("td", {}, share === null ? "–" : percent(share, 1)),
      make("td", { class: "gauge" }, ...(share === null ? [] : [make("div", { class: "meter", "aria-hidden": "true" },
        make("i", { class: "part", style: `left: 0; width: ${place(share)}` }), make("i", { class: "whisker", style: `left: ${place(lo)}; width: ${place(hi - lo)}` }))])));
  });
  const { zones } = record;
  // Against the better of last year's lists.
  const more = Math.round(zones.hits) - Math.round(Math.max(record.last_year.hits, record.last_year_hours?.hits ?? 0));
  const verdict = more > 0 ? t("recordMore", { n: count(more) }) : more < 0 ? t("recordFewer", { n: count(-more) }) : t("recordSame");
  const about = { n: count(record.incidents), periods: count(record.origins), days: count(record.days), date: dayText(inZone(record.first, zone)) };
  return [make("p", {}, t(record.origins === 1 ? "recordOfOne" : "recordOf", about)), make("p", {}, make("strong", {}, verdict)), make("table", {}, make("tbody", {}, ...rows)),
    ...(zones.share === null ? [] : [make("p", { class: "note" }, t("recordInterval", { lo: percent(zones.lo, 1), hi: percent(zones.hi, 1) }))])];
}

/** A part that fills when the record is there. @param {any} plan @param {string} zone the region's time zone */
export function recordPart(plan, zone) {
  const body = make("div", {}, make("p", { class: "note" }, t("loading")));
  const { within, inside } = plan.asked;
  const freely = within || inside || plan.former ? [make("p", { class: "note" }, t("recordAnywhere"))] : [];
  ask(plan).then(
    ({ record, record_reason: reason }) => body.replaceChildren(...(record ? [...recordParts(record, zone), ...freely] : [make("p", { class: "note" }, t(`record_${reason}`))])),
    () => body.replaceChildren(make("p", { class: "note" }, t("recordFailed"))),
  );
  return make("div", { class: "fact", id: "plan-record" }, make("h3", {}, t("recordTitle")), body);
}
