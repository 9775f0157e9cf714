/** What the forecast is worth over a list of last year's places, and what of it is the hour: here, and in cities like this one. */
import { getJson, regionPath } from "./api.js";
import { make, table } from "./dom.js";
import { count, t } from "./i18n.js";
import { messageText } from "./service-messages.js";
import { dayText, inZone } from "./time.js";

const GAINS = ["places_hits", "hour_hits", "asked_hits"];
const PER = 1000;

/** @param {any} holder @param {any} region */
export async function drawWorth(holder, region) {
  const found = await getJson(regionPath(region.id, "worth"));
  const { own, typical } = found;
  const date = own && dayText(inZone(own.since, region.timezone));
  holder.replaceChildren(
    ...found.notes.map((/** @type {any} */ note) => make("p", { class: "note" }, messageText(note))),
    ...(own ? part("worth-own", t("worthOwn", { n: count(own.n), date }), own) : []),
    ...part("worth-like", t("worthLike", { n: count(typical.n), days: count(typical.delay_days) }), typical),
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("worthTable") }, sizes(found)),
    make("p", { class: "note" }, t("worthHow")),
  );
}

/** @param {string} id @param {string} title @param {any} worth */
function part(id, title, { verdicts }) {
  const lines = verdicts.map((/** @type {any} */ one) => make("li", { "data-code": one.code }, messageText(one)));
  return [make("h4", {}, title), make("ul", { class: "plain", id }, ...lines)];
}

/** @param {any} found */
function sizes({ by_size: bySize, own, n_incidents: n }) {
  const rows = bySize.map((/** @type {any} */ row) => [count(row.n), ...GAINS.map((name) => gainText(row.gains[name]))]);
  if (own) rows.push([`${t("worthMine")} (${count(n)})`, ...GAINS.map((name) => gainText(own.gains[name]))]);
  const made = table(t("worthTable"), [t("worthSize"), t("worthPlaces"), t("worthHour"), t("worthBoth")], rows);
  made.id = "worth-sizes";
  return made;
}

/** Of 1,000 incidents, with bounds. @param {{mean: number, lo: number, hi: number} | undefined} gain */
function gainText(gain) {
  if (!gain) return "–";
  const [mean, lo, hi] = [gain.mean, gain.lo, gain.hi].map((value) => count(Math.round(PER * value) || 0));
  return make("span", {}, `${mean} `, make("small", {}, `(${lo} – ${hi})`));
}
