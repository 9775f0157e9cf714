/** A plan in words and bars, from its reply alone: the headline, the zones in order, how sure, what compactness costs. */
import { draw } from "./charts.js";
import { make } from "./dom.js";
import { percent } from "./forecast.js";
import { count, number, t } from "./i18n.js";
import { nameOf } from "./places.js";
import { recordPart } from "./plan-record.js";
import { dayText, inZone, plusHours } from "./time.js";

const KM2_PER_MI2 = 2.589988;
/** Fewer than this are said as "one in so many shifts". */
const RARE = 0.67;
/** An expected count so near a whole number is said as that number. */
const NEAR = 0.15;
const BARS = { width: 84, height: 34, gap: 2 };

export const squareMiles = (/** @type {number} */ km2) => number(km2 / KM2_PER_MI2, 2);
export const areaText = (/** @type {number} */ km2) => t("zoneArea", { km2: number(km2, 2), mi2: squareMiles(km2) });

/** "2 or 3 incidents". @param {number} n expected, not rare */
function incidentsText(n) {
  const near = Math.round(n);
  if (n >= 10 || Math.abs(n - near) <= NEAR || near === 0) return near <= 1 ? t("planAboutOne") : t("planAbout", { n: count(near) });
  return t("planEither", { n: count(Math.floor(n)), m: count(Math.ceil(n)) });
}

/** @param {number} n expected */
const shiftsPerIncident = (n) => number(Math.max(2, Math.round(1 / Math.max(n, 1e-9))), 2);

/** @param {number} n */
const zonesText = (n) => (n === 1 ? t("zonesOne") : t("zonesMany", { n: count(n) }));

/** What to expect, as [strong words, the rest]. @param {any} reply */
export function headline(reply) {
  const [n, zones, all] = [reply.expected_count, zonesText(reply.n_zones), count(reply.expected_total)];
  return n < RARE ? [t("planNone"), t("planInRare", { k: shiftsPerIncident(n), zones, all })] : [incidentsText(n), t("planIn", { zones, all })];
}

/** @param {number} n expected in one zone */
const zoneWords = (n) => (n < RARE ? t("zoneRare", { k: shiftsPerIncident(n) }) : n < 2 - NEAR ? t("zoneEvery") : t("zoneOften", { n: count(n) }));

/** A zone's name: its place as replied, else the neighbourhood, else its coordinates. @param {any} properties */
export function placeText({ place, longitude, latitude }) {
  return place || nameOf(longitude, latitude) || t("zoneUnnamed", { place: `${latitude.toFixed(4)},\u00a0${longitude.toFixed(4)}` });
}

/** Expected by hour as bars on the scale of all zones. @param {any} reply @param {number[]} hours @param {number} most */
function hourBars(reply, hours, most) {
  const names = [...reply.hours, reply.to].map((/** @type {string} */ local) => local.slice(11, 16));
  const peak = hours.indexOf(Math.max(...hours));
  const step = BARS.width / hours.length;
  const bars = hours.map((n, i) => draw("rect", {
    x: (i * step).toFixed(2), width: Math.max(1, step - BARS.gap).toFixed(2), class: i === peak ? "peak" : "hour",
    y: (BARS.height * (1 - n / most)).toFixed(2), height: Math.max(1, (BARS.height * n) / most).toFixed(2),
  }));
  const label = t("hoursLabel", { from: names[0], to: names[hours.length], peak: names[peak], end: names[peak + 1] });
  return make("span", { class: "hours" },
    draw("svg", { viewBox: `0 0 ${BARS.width} ${BARS.height}`, role: "img", "aria-label": label }, ...bars),
    make("span", { class: "at", "aria-hidden": "true" }, t("hoursPeak", { peak: names[peak].replace(":00", ""), end: names[peak + 1].replace(":00", "") })));
}

/** Expected counts by hour, where there are several. @param {any} zone properties @returns {number[] | null} */
const hoursOf = ({ hours }) => (hours?.length > 1 ? hours : null);

/**
 * @param {any} reply @param {{chosen: number, onZone: (rank: number) => void, words: (zone: any) => string, tools: (zone: any) => Node[], below: (zone: any) => Node[]}} act
 */
export function zoneList(reply, { chosen, onZone, words, tools, below }) {
  const most = Math.max(...reply.features.flatMap((/** @type {any} */ { properties }) => hoursOf(properties) ?? []), 1e-9);
  return make("ol", { id: "plan-zones", "aria-label": t("zoneList") }, ...reply.features.map((/** @type {any} */ { properties: zone }) => {
    const place = placeText(zone);
    const hours = hoursOf(zone);
    const more = words(zone);
    const pin = make("button", {
      type: "button", class: "pin", "aria-pressed": String(zone.rank === chosen), "aria-label": t("zoneShow", { rank: zone.rank, place }),
      "data-key": `zone-${zone.rank}`, onclick: () => onZone(zone.rank),
    }, String(zone.rank));
    return make("li", { class: zone.rank === chosen ? "zone chosen" : "zone", "data-rank": zone.rank },
      pin,
      make("div", { class: "what" }, make("strong", {}, place),
        ...(more ? [make("span", { class: "at" }, more)] : []), make("span", { class: "at" }, zoneWords(zone.expected_count)), make("span", { class: "at" }, areaText(zone.area_km2))),
      ...(hours ? [hourBars(reply, hours, most)] : []),
      make("span", { class: "tools" }, ...tools(zone)),
      ...below(zone));
  }));
}

/** A line of text above a bar. @param {string} title @param {string} text @param {Node[]} marks in percent of the bar's width */
const fact = (title, text, marks) => make("div", { class: "fact" }, make("h3", {}, title), make("p", {}, text),
  ...(marks.length ? [make("div", { class: "meter", "aria-hidden": "true" }, ...marks)] : []));

/** @param {string} name @param {number} from share of the bar @param {number} to */
const mark = (name, from, to) => make("i", { class: name, style: `left: ${(100 * from).toFixed(1)}%; width: ${(100 * (to - from)).toFixed(1)}%` });

/** @param {any} reply */
function sure({ expected_count: n, expected_count_lo: lo, expected_count_hi: hi }) {
  const end = Math.max(hi * 1.25, 4);
  const text = hi === 0 ? t("sureNone", { n: number(n, 2) }) : t("sureRange", { lo: count(lo), hi: count(hi), n: number(n, 2) });
  return fact(t("sureTitle"), text, [mark("range", lo / end, Math.max(hi, 0.06) / end), mark("dot", n / end, n / end)]);
}

/** @param {any} reply */
function facts(reply) {
  const { share_of_area: area, share_of_incidents_expected: share, share_of_free_cells: free, share_of_harm_expected: harm } = reply;
  const { inside, inside_share: part } = reply;
  const worth = inside
    ? t("insideShare", { share: percent(share / part, 1), area: inside.area, part: percent(area, 2), times: number(share / part / area, 2) })
    : t("cityShare", { share: percent(share, 1), area: percent(area, 2), times: number(share / area, 2) });
  return [
    sure(reply),
    fact(t("cityTitle"), harm === undefined ? worth : `${worth} ${t("harmShare", { share: percent(harm, 1) })}`, [mark("part", 0, inside ? share / part : share)]),
    ...(free === null ? [] : [fact(t("freeTitle"), t("freeShare", { share: percent(free) }), [mark("part", 0, Math.min(free, 1))])]),
  ];
}

/** What the plan stands on. @param {any} reply @param {string} zone */
function provenance({ data_until: end, lead_hours: lead, model }, zone) {
  const ahead = lead < 48 ? t("aheadHours", { n: count(lead) }) : t("aheadDays", { n: count(lead / 24) });
  return make("p", { class: "note", id: "plan-stands" }, `${t("planUntil", { date: dayText(plusHours(inZone(end, zone), -1)), ahead })} ${t("planVersion", { model })}`);
}

/**
 * All of a plan.
 * @param {any} reply @param {string} zone the region's time zone @param {Parameters<typeof zoneList>[1] & {changed: Node[], after: Node[], facts: Node[]}} act
 */
export function planParts(reply, zone, act) {
  const [strong, rest] = headline(reply);
  return [
    make("p", { id: "plan-headline" }, make("strong", {}, strong), " ", rest),
    ...act.changed,
    zoneList(reply, act),
    ...act.after,
    ...(reply.n_zones < reply.n && !reply.price ? [make("p", { class: "note" }, t("zonesFewer", { n: count(reply.n_zones) }))] : []),
    ...act.facts,
    ...facts(reply),
    recordPart(reply, zone),
    provenance(reply, zone),
  ];
}
