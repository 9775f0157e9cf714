/** Forecasts filed before their day, scored after it, beside last year's list: as large where it is unfavourable. */
import { getJson, regionPath, save } from "./api.js";
import { may } from "./access.js";
import { make, table } from "./dom.js";
import { percent } from "./forecast.js";
import { count, fixed, t } from "./i18n.js";
import { showError } from "./runs.js";
import { dayText, inZone, momentText } from "./time.js";

const SHOWN_PERCENT = "5";
const DIGEST_CHARS = 12;
const MAX_ENTRIES = 1000;

/** @param {any} region @returns {Promise<Node[]>} */
export async function registerPart(region) {
  const found = await getJson(regionPath(region.id, "register?limit=1"));
  const head = [make("h3", { id: "register" }, t("registerTitle")), make("p", { class: "note" }, t("registerHow"))];
  if (!found.filed) return [...head, make("p", { id: "register-none" }, t("registerNone"))];
  const name = `${region.id}-register.csv`;
  const keep = () => save(regionPath(region.id, `register?f=csv&limit=${MAX_ENTRIES}`), name).catch(showError);
  return [
    ...head, ...(found.record.last.days ? recordParts(found.record.last) : [waiting(found)]), newest(found.entries[0], region),
    make("p", {}, make("button", { type: "button", id: "register-save", onclick: keep }, t("registerSave"))),
  ];
}

/** @param {any} found */
const waiting = ({ filed, first_day: first }) =>
  make("p", { id: "register-waits" }, t(may("outcomes") ? "registerWaits" : "registerWaitsReader", { filed: count(filed), date: dayText(`${first}T00:00`) }));

/** @param {any} record @returns {Node[]} */
function recordParts({ shares, n, days, days_covered: covered, expected }) {
  const shown = shares[SHOWN_PERCENT];
  const { lo, hi } = shown.difference;
  const verdict = t(lo > 0 ? "registerMore" : hi < 0 ? "registerFewer" : "registerSame");
  const caught = t("registerCaught", { top: SHOWN_PERCENT, ours: count(shown.champion.hits), others: count(shown.prior_counts.hits), n: count(n), days: count(days) });
  const rows = Object.entries(shares).map(([top, one]) => [
    `${top}\u00a0%`, withInterval(one.champion), withInterval(one.prior_counts),
    above(signed(one.difference.hits), `${signed(one.difference.lo)} – ${signed(one.difference.hi)}`),
  ]);
  const made = table(t("registerTable"), ["registerCells", "registerOurs", "registerPast", "registerGap"].map((key) => t(key)), rows);
  made.id = "register-table";
  return [
    make("p", { class: "headline", id: "register-verdict" }, make("strong", {}, verdict), `. ${caught}. ${t("registerRange", { lo: signed(lo), hi: signed(hi) })}`),
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("registerTable") }, made),
    make("p", { class: "headline", id: "register-counts" }, t("registerCounts", { covered: count(covered), days: count(days), expected: fixed(expected), n: count(n) })),
  ];
}

/** A figure above its interval. @param {string} figure @param {string} range */
const above = (figure, range) => make("span", {}, figure, make("br"), make("small", {}, range));

/** @param {{hits: number, share: number | null, lo: number, hi: number}} caught */
const withInterval = ({ hits, share, lo, hi }) =>
  above(share === null ? "–" : `${count(hits)}\u00a0= ${percent(share, 1)}`, `${fixed(100 * lo)}–${fixed(100 * hi)}\u00a0%`);

/** @param {number} n */
const signed = (n) => `${n > 0 ? "+" : ""}${count(n)}`;

/** @param {any} entry @param {any} region */
function newest({ day, filed_at: at, sha256 }, region) {
  const filed = momentText(inZone(at, region.timezone, true));
  return make("p", { class: "note", id: "register-newest", title: sha256 },
    t("registerNewest", { day: dayText(`${day}T00:00`), filed, digest: sha256.slice(0, DIGEST_CHARS) }));
}
