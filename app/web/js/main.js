/** The page: loads what is looked at, draws it, and reacts. */
import { drawAccess, may, missing, openAccess } from "./access.js";
import { askAhead, askedReply } from "./ahead.js";
import { drawOther, loadOther, openCompare, scaleFor } from "./compare.js";
import { openControls, playing, syncControls } from "./controls.js";
import { byId } from "./dom.js";
import { drawCard, drawHead, drawLegend, drawNotice, flagged, hotspotColour, ranking, topCells } from "./forecast.js";
import { fillChoices, nameChoices } from "./choices.js";
import { currentLanguage, setLanguage, t } from "./i18n.js";
import { showLayer } from "./layers.js";
import { mapOf, openMap, wantMap } from "./open-map.js";
import { markPanes } from "./panes.js";
import { expectPlaces, showStreets } from "./places.js";
import { clearPlan, clickPlan, drawPlan, loadPlan, mapPlan, openPlan, syncPlan } from "./plan.js";
import { showPoints } from "./points.js";
import { drawRun, knownRegion } from "./run.js";
import { endLoading, failLoading, guarded, loading, openLoading, startLoading } from "./loading.js";
import { forgetOutcomes, loadOutcomes, outcomes, wantOutcomes } from "./outcomes.js";
import { showError } from "./runs.js";
import { expectShares, expectTrackRecord, forgetRegion, showShares, showWeek, redrawNextTime } from "./hotspot-shares.js";
import { openWeekViews } from "./week-data.js";
import { markWeekStrip, openWeekStrip } from "./week-strip.js";
import { follow, followClock, lookWhatServes } from "./follow.js";
import { drawExport, refreshPermalink } from "./export.js";
import { forgetHourNote, forgetRegionNote, listRegions, openingHour, openingNotes } from "./opening.js";
import { fillPaper } from "./printing.js";
import { zoneText } from "./time.js";
import { forgetUsual, loadUsual } from "./usual.js";
import { drawEvaluation } from "./evaluation.js";
import { askedFor, readAddress, view, writeAddress } from "./view.js";

const SHARES_DELAY_MS = 120;

/** @type {any} */ let known = { region: null, models: [], champion: null };
/** @type {any} */ let shown = null;
/** @type {any} */ let scale = null;
/** @type {number[]} */ let ranked = [];
/** @type {Uint32Array} */ let rankOf = new Uint32Array();
let asked = 0;
let sharesTimer = 0;
const makeMap = () => mapOf(pointAt, (row) => chooseCell(row < 0 || !shown ? null : shown.cells.id[row]), (place) => { view.place = place; remember(); });

const whenMap = () => wantMap(makeMap, () => {
  if (known.region) openMap().showRegion(known.region, view.place);
  if (shown) drawMap();
}, showError);

const remember = () => { writeAddress(); refreshPermalink(); };
const version = () => known.models.find((/** @type {any} */ m) => m.version === shown?.model_version);

function pointAt(/** @type {number} */ row) {
  if (!shown) return;
  const at = row < 0 && view.cell !== null ? shown.cells.id.indexOf(view.cell) : row;
  drawCard(shown, view.tab === "plan" ? -1 : at, rankOf[at] ?? 0);
  const card = byId("card");
  card.classList.remove("aside");
  // A card does not hide the cell that it is about.
  if (at >= 0 && openMap()?.isBeneath(shown.cells.id[at], card)) card.classList.add("aside");
}

function chooseCell(/** @type {number | null} */ id) {
  if (view.tab === "plan") return clickPlan(id);
  view.cell = id === view.cell ? null : id;
  openMap()?.choose(view.cell);
  pointAt(-1);
  const focused = document.activeElement?.closest("#top-cells") !== null;
  drawTopCells();
  if (focused) byId("top-cells").querySelector(`[data-cell="${id}"]`)?.focus();
  return remember();
}

/** Whoever chooses from the list sees where it is. */
function drawTopCells() {
  byId("top-cells").replaceChildren(topCells(shown, ranked, (id) => {
    chooseCell(id);
    if (view.cell !== null) openMap()?.reveal(id);
  }));
}

/** Load and draw the chosen hours. */
async function showForecast() {
  const mine = ++asked;
  syncControls();
  syncPlan(known.region);
  markWeekStrip();
  remember();
  const of = askedFor();
  if (!known.champion) return showNothing();
  startLoading();
  try {
    const replies = Promise.all([
      askedReply(),
      view.tab === "plan" ? loadPlan(known.region) : null,
      view.measure === "difference" ? loadUsual() : null,
      loadOther(),
    ]);
    whenMap();
    const [reply, plan] = await replies;
    if (mine !== asked) return undefined;
    shown = { ...reply, asked: of };
    document.body.dataset.holds = "forecast";
    endLoading();
    [ranked, rankOf] = ranking(shown);
    drawHead(shown, known.region.timezone);
    drawNotice(shown, openingNotes());
    if (plan) drawPlan(known.region, plan, openingNotes(), shown);
    redraw();
    const areas = showLayer(known.region, shown, whenMap).catch(showError);
    await Promise.all([showWeek(known), areas, showOutcomes().then(drawPane), whenMap().then(() => showStreets(known.region, openMap(), redraw))]);
  } catch (error) {
    if (mine === asked) failLoading(error);
  }
  return undefined;
}

function showNothing() {
  shown = null;
  document.body.dataset.holds = known.region ? "region" : "nothing";
  endLoading();
  byId("when").textContent = !known.region ? t("noRegion") : may("read") ? t("noModel") : missing("read");
  byId("heading-when").textContent = byId("when").textContent;
  for (const id of ["total", "heading-total", "when-zone", "data-until", "shares", "shares-note", "top-cells", "strip", "strip-legend", "legend", "pane-take"]) byId(id).replaceChildren();
  byId("card").hidden = true;
  clearPlan(byId("when").textContent);
  return Promise.all([drawPane(), showPoints(known.region, whenMap, (region) => known.region === region && !shown).catch(showError)]);
}

/** Colours, legend, hotspots: nothing is loaded for these. */
function redraw() {
  if (!shown) return;
  // While hours play, or as long as somebody wants it, the scale stays the same.
  scale = scaleFor(shown, playing() || byId("hold-scale").checked ? scale : null);
  if (openMap()) drawMap();
  pointAt(-1);
  drawTopCells();
  drawTop();
}

function drawMap() {
  openMap().paint(shown, scale);
  openMap().choose(view.tab === "plan" ? null : view.cell);
  drawHotspots();
  drawOther(known, shown, scale).catch(showError);
}

/** A plan's zones, or the hotspots. */
function drawHotspots() {
  openMap().outline(view.tab === "plan" ? [] : flagged(shown, ranked), hotspotColour());
  mapPlan();
}

function drawTop() {
  byId("top-text").textContent = `${view.top} %`;
  byId("top").setAttribute("aria-valuetext", `${view.top} %`);
  if (!shown) return;
  if (openMap()) drawHotspots();
  drawLegend(scale, outcomes());
  clearTimeout(sharesTimer);
  sharesTimer = setTimeout(() => {
    if (shown && view.tab !== "plan") showShares(known, shown);
    if (shown) showOutcomes();
  }, SHARES_DELAY_MS);
}

/** The dots follow what they are judged by. */
async function showOutcomes() {
  await loadOutcomes().catch((error) => showError(error, true));
  await whenMap();
  openMap().outcomes(view.tab === "plan" ? null : outcomes());
  if (scale) drawLegend(scale, outcomes());
}

async function drawPane() {
  markPanes();
  if (view.tab === "trust" && known.region) await drawEvaluation({ ...known, version: version(), shown, outcomes: outcomes(), onOutcomes, onTested: tested });
  if (view.tab === "run") drawRun({ ...known, onChange: changed });
  if (view.tab === "take" && shown) drawExport({ shown, onBriefing: guarded(brief) });
}

/** Somebody chose a tab: a plan is asked for by more than a forecast. @param {string} before */
async function showTab(before) {
  await drawPane();
  if (view.tab === "plan" || before === "plan") await showForecast();
}

async function onOutcomes(/** @type {boolean} */ wanted) {
  wantOutcomes(wanted);
  await showOutcomes();
  return outcomes();
}

/** A new backtest is a new track record. */
async function tested() {
  forgetRegion();
  drawTop();
  await Promise.all([showWeek(known), drawPane()]);
}

async function brief() {
  await Promise.all([whenMap(), showShares(known, shown)]);
  fillPaper(known.region, shown, ranked);
  print();
}

/** After an upload, a training, a promotion, a new region. @param {string} [region] */
async function changed(region) {
  if (region) view.region = region;
  await listRegions();
  await showRegion(region !== undefined);
}

/** @param {boolean} anew forget the hour, the model and the category */
async function showRegion(anew) {
  if (!view.region) {
    known = { region: null, models: [], champion: null };
    view.tab = "run";
    return showNothing();
  }
  startLoading();
  forgetRegion();
  if (may("read")) expectTrackRecord(view.region);
  known = await knownRegion(view.region);
  const served = known.champion && (await lookWhatServes());
  if (anew) forgetRegionNote();
  if (anew) Object.assign(view, { at: "", category: "", model: "", cell: null, place: "", zones: "", weight: "", within: "", area: "" });
  forgetUsual();
  forgetOutcomes();
  shown = null;
  expectPlaces(known.region);
  openMap()?.showRegion(known.region, view.place);
  fillChoices(known);
  openingHour(served, known.region);
  byId("heading-when").dataset.region = known.region.name;
  byId("zone").textContent = zoneText(new Date(), known.region.timezone);
  if (known.champion) {
    if (view.tab !== "plan") expectShares(known, askedFor());
    showWeek(known);
  }
  await showForecast();
}

async function speak(/** @type {string} */ language) {
  view.lang = language;
  setLanguage(language);
  document.title = "hotslot";
  drawAccess();
  redrawNextTime();
  forgetHourNote();
  nameChoices(known.models);
  await showForecast();
}

/** Ask again for what could not be had: the hours, or the region with all that is about it. */
const retry = loading(() => (known.region?.id === view.region && shown ? showForecast() : load()));

/** Everything, for whoever it is that looks now. */
async function load() {
  drawAccess();
  if (!may("read")) view.tab = "run";
  await listRegions();
  await showRegion(false);
}

/** The browser went back or forward. */
async function goBack() {
  readAddress();
  forgetHourNote();
  await (view.region === known.region?.id ? showForecast() : showRegion(false));
}

async function start() {
  readAddress();
  document.body.dataset.embed = view.embed;
  setLanguage(view.lang);
  byId("language").value = currentLanguage();
  openLoading(retry);
  addEventListener("beforeprint", () => fillPaper(known.region, shown, ranked));
  byId("hold-scale").addEventListener("change", redraw);
  addEventListener("popstate", loading(goBack));
  openWeekStrip((at, hours) => {
    forgetHourNote();
    Object.assign(view, { at, hours });
    showForecast();
  });
  openWeekViews(() => { remember(); showWeek(known); });
  openControls({ showForecast, showRegion: loading(showRegion), drawTop, showTab: guarded(showTab), speak, region: () => known.region, moved: forgetHourNote, ahead: askAhead });
  openCompare(showForecast);
  openPlan({ showForecast, region: () => known.region, moved: forgetHourNote });
  try {
    if (await openAccess(load)) await load();
    await whenMap();
  } catch (error) {
    failLoading(error);
  }
  document.body.dataset.ready = "true";
  followClock(() => known.region, guarded(showForecast));
  follow(() => shown !== null && !view.model && !playing(), guarded(showForecast), guarded(() => showRegion(false)));
}

start();
