/** Places of one's own, drawn or from a file, scored on a past period beside the forecast's and last year's lists. */
import { postJson, regionPath } from "./api.js";
import { make, table } from "./dom.js";
import { percent } from "./forecast.js";
import { count, fixed, number, t } from "./i18n.js";
import { openMap } from "./open-map.js";
import { showErrorIn } from "./runs.js";
import { messageText } from "./service-messages.js";
import { inZone, plusHours } from "./time.js";

const DEFAULT_DAYS = 28;
const MAX_FILE_BYTES = 5e6;
const LISTS = /** @type {const} */ (["own", "champion", "prior_counts"]);
const NAMES = { own: "ownList", champion: "forecastList", prior_counts: "pastList" };

/** @typedef {{type: string, properties: any, geometry: any}} Feature */

/** Polygons of a GeoJSON text: a collection, a feature or a geometry. @param {string} text @returns {Feature[]} */
export function polygonsOf(text) {
  const given = JSON.parse(text);
  const features = given?.features ?? [given?.type === "Feature" ? given : { geometry: given }];
  const polygons = features.filter((/** @type {any} */ one) => ["Polygon", "MultiPolygon"].includes(one?.geometry?.type));
  return polygons.map((/** @type {any} */ { geometry }) => ({ type: "Feature", properties: {}, geometry }));
}

/** @param {any} holder @param {any} region */
export function drawOwnPlaces(holder, region) {
  /** @type {Feature[]} */ let places = [];
  const said = make("p", { class: "note", id: "own-count", "aria-live": "polite" });
  const status = make("div", { class: "status", role: "status", id: "own-status" });
  const found = make("div", { id: "own-result" });
  const button = (/** @type {string} */ id, /** @type {string} */ key) => make("button", { type: "button", id }, t(key));
  const [draw, finish, clear, score] = [button("own-draw", "ownDraw"), button("own-finish", "ownFinish"), button("own-clear", "ownClear"), button("own-score", "ownScore")];
  const file = make("input", { type: "file", id: "own-file", accept: ".geojson,.json,application/geo+json,application/json" });
  const last = inZone(region.last_at ?? new Date(), region.timezone);
  const end = plusHours(last, 24).slice(0, 10);
  const [from, to] = [plusHours(`${end}T00:00`, -24 * DEFAULT_DAYS).slice(0, 10), end].map((value, i) => make("input", { type: "date", id: i ? "own-to" : "own-from", value }));
  // What is drawn is not left on the map beneath other panes.
  const isSeen = () => holder.clientHeight > 0;
  const show = () => {
    openMap()?.ownPlaces(isSeen() ? places : []);
    said.textContent = t("ownCount", { n: count(places.length) });
    [finish.hidden, draw.hidden] = [!sketch, Boolean(sketch)];
    clear.disabled = !places.length && !sketch;
    score.disabled = !places.length;
  };
  /** @type {number[][] | null} */ let sketch = null;
  const endSketch = () => {
    const corners = (sketch ?? []).filter((place, i, all) => !i || String(place) !== String(all[i - 1]));
    if (corners.length > 2) places.push({ type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [[...corners, corners[0]]] } });
    sketch = null;
    openMap()?.sketch(null);
    show();
  };
  draw.addEventListener("click", () => {
    sketch = [];
    const map = openMap();
    if (!map) return;
    map.sketch((/** @type {number[] | null} */ place) => {
      if (!place) return endSketch();
      sketch?.push(place);
      map.ownPlaces([...places, ...(sketch ? [{ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: sketch } }] : [])]);
    });
    show();
  });
  finish.addEventListener("click", endSketch);
  clear.addEventListener("click", () => {
    places = [];
    sketch = null;
    openMap()?.sketch(null);
    found.replaceChildren();
    show();
  });
  const read = async (/** @type {File | undefined} */ given) => {
    if (!given) return;
    try {
      const polygons = given.size > MAX_FILE_BYTES ? [] : polygonsOf(await given.text());
      if (!polygons.length) throw new Error(t("ownNoPolygons", { name: given.name }));
      places = [...places, ...polygons];
      status.textContent = "";
    } catch (error) {
      status.textContent = error instanceof SyntaxError ? t("ownNoPolygons", { name: given.name }) : String(/** @type {any} */ (error).message);
    }
    show();
  };
  file.addEventListener("change", () => read(file.files?.[0]));
  holder.addEventListener("dragover", (/** @type {DragEvent} */ event) => event.preventDefault());
  holder.addEventListener("drop", (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    read(event.dataTransfer?.files[0]);
  });
  score.addEventListener("click", async () => {
    score.disabled = true;
    status.textContent = t("ownWorking");
    try {
      const areas = { type: "FeatureCollection", features: places };
      const reply = await postJson(regionPath(region.id, "evaluations"), { areas, from: from.value, to: to.value });
      status.textContent = "";
      found.replaceChildren(...resultPart(reply));
    } catch (error) {
      showErrorIn(status, error);
    }
    score.disabled = false;
  });
  holder.replaceChildren(
    make("p", { class: "note" }, t("ownHint")),
    make("p", { class: "row" }, draw, finish, clear),
    make("label", {}, t("ownFile"), " ", file), said,
    make("p", {}, make("label", {}, t("ownFrom"), " ", from)),
    make("p", {}, make("label", {}, t("ownTo"), " ", to)),
    make("p", {}, score), status, found,
  );
  show();
  new ResizeObserver(() => (isSeen() || !sketch ? show() : endSketch())).observe(holder);
}

/** A figure above its interval. @param {string} figure @param {string} lo @param {string} hi */
const above = (figure, lo, hi) => make("span", {}, figure, make("br"), make("small", {}, `${lo}–${hi}`));

/** @param {any} list */
const shareText = (list) => (list.share === null ? "–" : above(percent(list.share, 1), fixed(100 * list.share_lo), fixed(100 * list.share_hi)));

/** @param {any} list */
const paiText = (list) => (list.pai === null ? "–" : above(number(list.pai, 3), number(list.pai_lo, 3), number(list.pai_hi, 3)));

/** @param {any} reply @returns {Node[]} */
function resultPart({ total, periods, notes, area_km2: area }) {
  const { own } = total;
  const known = LISTS.filter((name) => total[name]);
  const rows = known.map((name) => [t(NAMES[name]), fixed(total[name].area_km2, 2), count(total[name].hits), shareText(total[name]), paiText(total[name])]);
  const made = table(t("ownTable"), ["", "km²", t("hits"), t("ownShare"), t("ownPai")], rows);
  made.id = "own-table";
  const said = [...notes, ...periods[0].notes].map((note) => make("li", {}, messageText(note)));
  return [
    make("p", { class: "headline", id: "own-headline" }, t("ownHeadline", {
      area: fixed(area, 2), hits: count(own.hits), n: count(own.n), share: own.share === null ? "–" : percent(own.share, 1), times: own.pai === null ? "–" : number(own.pai, 3),
    })),
    ...(/** @type {const} */ (["champion", "prior_counts"])).flatMap((name) => (total.differences[name] ? [gapPart(name, total.differences[name])] : [])),
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("ownTable") }, made),
    make("p", { class: "note" }, t("ownHow")),
    ...(said.length ? [make("ul", { class: "plain notice" }, ...said)] : []),
  ];
}

/** Who caught more, in incidents with an interval; as large whoever it is. @param {"champion" | "prior_counts"} name @param {any} gap own minus theirs */
function gapPart(name, { hits, lo, hi }) {
  const key = lo > 0 ? "ownMore" : hi < 0 ? "ownFewer" : "ownSame";
  const [least, most] = hi < 0 ? [-hi, -lo] : [lo, hi];
  const words = t(key, { name: t(`${NAMES[name]}Of`), hits: count(Math.abs(hits)), lo: count(least), hi: count(most) });
  return make("p", { class: "headline", "data-list": name }, words);
}
