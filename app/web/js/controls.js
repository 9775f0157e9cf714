/** Buttons, selects and tabs: each changes the view and asks for what must be drawn anew. */
import { byId } from "./dom.js";
import { t } from "./i18n.js";
import { hoursBetween, inZone, plusHours } from "./time.js";
import { MEASURES, TABS, view, writeAddress } from "./view.js";

const LENGTHS = [1, 2, 3, 4, 6, 8, 12, 24];
const PLAY_MS = 900;
const MORNING = "06:00";
const SHORTEST_NIGHT_H = 3;
/** Timer of the next step, -1 while one is drawn, 0 when nothing plays. */
let timer = 0;

/**
 * @param {{showForecast: () => Promise<any>, showRegion: (anew: boolean) => Promise<any>, drawTop: () => void,
 *   showTab: (before: string) => Promise<void>, speak: (language: string) => Promise<void>, region: () => any,
 *   moved: () => void, ahead: (at: string) => Promise<any>}} act
 */
export function openControls(act) {
  const on = (/** @type {string} */ id, /** @type {string} */ kind, /** @type {(event: any) => any} */ react) => byId(id).addEventListener(kind, react);
  const go = (/** @type {string} */ at) => {
    act.moved();
    view.at = at;
    return act.showForecast();
  };
  byId("hour").replaceChildren(...Array.from({ length: 24 }, (_, h) => new Option(`${String(h).padStart(2, "0")}:00`, String(h).padStart(2, "0"))));
  on("region", "change", (event) => {
    view.region = event.target.value;
    act.showRegion(true);
  });
  on("all-regions", "click", async () => (await import("./overview.js")).openOverview((id) => {
    view.region = id;
    act.showRegion(true);
  }));
  on("category", "change", (event) => choose("category", event, act.showForecast));
  on("model", "change", (event) => choose("model", event, act.showForecast));
  on("measure", "change", (event) => choose("measure", event, act.showForecast));
  on("language", "change", (event) => act.speak(event.target.value));
  on("top", "input", (event) => {
    view.top = Number(event.target.value);
    act.drawTop();
    writeAddress();
  });
  on("earlier", "click", () => go(plusHours(view.at, -1)));
  on("later", "click", () => go(plusHours(view.at, 1)));
  on("last-week", "click", () => go(plusHours(view.at, -168)));
  on("next-week", "click", () => go(plusHours(view.at, 168)));
  on("now", "click", () => act.region() && go(inZone(new Date(), act.region().timezone)));
  on("tomorrow", "click", () => {
    if (!act.region()) return;
    const tomorrow = plusHours(inZone(new Date(), act.region().timezone), 24);
    go(`${tomorrow.slice(0, 10)}${view.at.slice(10)}`);
  });
  on("date", "change", (event) => event.target.value && go(`${event.target.value}${view.at.slice(10)}`));
  on("hour", "change", (event) => go(`${view.at.slice(0, 10)}T${event.target.value}:00`));
  on("hours", "change", (event) => {
    view.hours = Number(event.target.value);
    act.showForecast();
  });
  on("more", "click", () => byId("more").setAttribute("aria-expanded", String(document.body.classList.toggle("more"))));
  on("play", "click", () => (playing() ? pause() : play(go, act.ahead)));
  openTabs(act.showTab);
}

/** @param {"category" | "model" | "measure"} name @param {any} event @param {() => any} then */
function choose(name, event, then) {
  view[name] = event.target.value;
  then();
}

export const playing = () => timer !== 0;

/** Hour by hour until the morning; each waits until it can be drawn at once. @param {(at: string) => Promise<any>} go @param {(at: string) => Promise<any>} ahead */
function play(go, ahead) {
  timer = -1;
  byId("play").textContent = t("pause");
  const end = morningAfter(view.at);
  let next = ahead(plusHours(view.at, 1));
  const step = async () => {
    await next;
    if (!playing()) return;
    await go(plusHours(view.at, 1));
    if (!playing() || view.at >= end) return pause();
    next = ahead(plusHours(view.at, 1));
    timer = setTimeout(step, PLAY_MS);
    return undefined;
  };
  step();
}

/** The first 06:00 that is at least a few hours off. @param {string} at */
function morningAfter(at) {
  const today = `${at.slice(0, 10)}T${MORNING}`;
  const next = hoursBetween(at, today) >= SHORTEST_NIGHT_H ? today : plusHours(today, 24);
  return hoursBetween(at, next) >= SHORTEST_NIGHT_H ? next : plusHours(next, 24);
}

function pause() {
  clearTimeout(timer);
  timer = 0;
  byId("play").textContent = t("play");
}

/** @param {(before: string) => Promise<void>} showTab */
function openTabs(showTab) {
  const show = (/** @type {string} */ name) => {
    const before = view.tab;
    view.tab = name;
    writeAddress();
    if (name !== before) showTab(before);
  };
  for (const name of TABS) byId(`tab-${name}`).addEventListener("click", () => show(name));
  byId("tab-forecast").parentElement.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const next = TABS[(TABS.indexOf(view.tab) + step + TABS.length) % TABS.length];
    show(next);
    byId(`tab-${next}`).focus();
  });
}

/** Show in the controls what view says. */
export function syncControls() {
  byId("date").value = view.at.slice(0, 10);
  byId("hour").value = view.at.slice(11, 13);
  const lengths = [...new Set([...LENGTHS, view.hours])].sort((a, b) => a - b);
  byId("hours").replaceChildren(...lengths.map((n) => new Option(t("hours", { n }), String(n))));
  byId("hours").value = String(view.hours);
  byId("measure").replaceChildren(...MEASURES.map((name) => new Option(t(name), name)));
  byId("measure").value = view.measure;
  byId("top").value = String(view.top);
  byId("region").value = view.region;
  byId("category").value = view.category;
  byId("model").value = view.model;
  byId("tomorrow").textContent = t("tomorrow", { hour: view.at.slice(11) });
  byId("play").textContent = playing() ? t("pause") : t("play");
}
