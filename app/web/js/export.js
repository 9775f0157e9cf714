/** Export: files, a link to this view, a one-page briefing. */
import { forecastPath, save, urlOf } from "./api.js";
import { byId, make } from "./dom.js";
import { currentLanguage, t } from "./i18n.js";
import { showError } from "./runs.js";
import { messageText } from "./service-messages.js";
import { plusHours, spanText, weekStart } from "./time.js";
import { markPrint } from "./loading.js";
import { address, askedFor, view } from "./view.js";

const FORMATS = [["geojson", "GeoJSON"], ["csv", "CSV"], ["tif", "GeoTIFF"], ["png", "PNG"], ["parquet", "GeoParquet"]];

/** @typedef {{region: string, at: string, hours: number, category: string, model: string, weight: string}} Asked what a forecast was asked for by */

/** The selectors of what is asked for. @param {Asked} [of] */
export function selectors({ at, hours, category, model, weight } = askedFor()) {
  const when = hours > 1 ? { from: at, to: plusHours(at, hours) } : { at };
  return { ...when, category, model, weight };
}

/** Names state all by which forecasts differ. @param {any} shown */
function stampOf({ asked, model_version: version }) {
  const plain = (/** @type {string} */ text) => text.normalize("NFD").replace(/[^\w-]+/g, "-");
  return [asked.region, asked.at.slice(0, 13), `${asked.hours}h`, ...(asked.category ? [plain(asked.category)] : []), ...(asked.weight ? [asked.weight] : []), version].join("-");
}

/** @param {{shown: any, onBriefing: () => any}} what */
export function drawExport({ shown, onBriefing }) {
  const stamp = stampOf(shown);
  const { asked } = shown;
  const link = (/** @type {string} */ href, /** @type {string} */ name, /** @type {string} */ text) => {
    const made = make("a", { class: "button", href: urlOf(href), download: name }, text);
    made.addEventListener("click", (/** @type {Event} */ event) => {
      event.preventDefault();
      save(href, name).catch(showError);
    });
    return made;
  };
  const files = FORMATS.map(([f, name]) => link(forecastPath(asked.region, "density", { ...selectors(asked), f }), `${stamp}.${f}`, name));
  const hotspots = ["geojson", "csv"].map((f) =>
    link(forecastPath(asked.region, "hotspots", { ...selectors(asked), top: view.top, f }), `${stamp}-top${view.top}.${f}`, f === "csv" ? "CSV" : "GeoJSON"));
  const monday = weekStart(asked.at);
  const week = { from: monday, to: plusHours(monday, 168), category: asked.category, model: asked.model, f: "csv" };
  const box = make("input", { id: "permalink", readonly: true, value: location.origin + address(), "aria-label": t("permalink") });
  const status = make("span", { class: "note", role: "status" });
  const copy = make("button", { type: "button", id: "copy" }, t("copy"));
  copy.addEventListener("click", async () => {
    box.select();
    // The clipboard needs a secure context; elsewhere the link stays selected for copying by hand.
    if (navigator.clipboard) await navigator.clipboard.writeText(box.value).then(() => { status.textContent = t("copied"); }, () => {});
  });
  const print = make("button", { type: "button", id: "print", class: "primary", onclick: onBriefing }, t("print"));
  byId("pane-take").replaceChildren(
    make("h3", {}, t("download")), make("div", { class: "buttons", id: "downloads" }, ...files),
    make("h3", {}, t("hotspotsOnly")), make("div", { class: "buttons" }, ...hotspots),
    make("h3", {}, t("series")), make("div", { class: "buttons" }, link(forecastPath(asked.region, "series", week), `${stampOf({ ...shown, asked: { ...asked, at: monday, hours: 168 } })}-week.csv`, "CSV")),
    make("h3", {}, t("permalink")), box, make("div", { class: "buttons" }, copy, status),
    make("h3", {}, t("wallScreen")), make("p", { class: "note" }, t("wallScreenText")),
    make("div", { class: "buttons" }, ...["dark", "light"].map((theme) => make("a", { class: "button", target: "_blank", rel: "noopener", href: wallAddress(theme) }, t(`wall_${theme}`)))),
    make("h3", {}, t("briefing")), make("p", { class: "note" }, t("briefingText")), print,
  );
  markPrint();
}

/** The map alone, going with the clock. @param {string} theme */
function wallAddress(theme) {
  const given = new URLSearchParams(address().split("?")[1]);
  for (const name of ["at", "cell", "tab", "strip"]) given.delete(name);
  given.set("embed", "1");
  given.set("theme", theme);
  return `${location.pathname}?${given}`;
}

/** Update the link. */
export function refreshPermalink() {
  const box = byId("permalink");
  if (box) box.value = location.origin + address();
}

/**
 * Fill the page that is printed, from what was replied alone: the controls may ask for something else by now.
 * @param {{region: any, shown: any, picture: HTMLCanvasElement | null, cells: Node}} content
 */
export function fillBriefing({ region, shown, picture, cells }) {
  const today = new Intl.DateTimeFormat(currentLanguage(), { dateStyle: "long" }).format(new Date());
  const caveats = [...shown.warnings.map(messageText), t("caveat1"), t("caveat2"), t("caveat3")];
  // What happened is no part of a forecast, and is not in the picture.
  const legend = make("div", { class: "legend" }, ...[...byId("legend").children].filter(({ id }) => id !== "dots-key").map((node) => node.cloneNode(true)));
  const copy = (/** @type {string} */ id) => {
    const made = byId(id).cloneNode(true);
    for (const named of [made, ...made.querySelectorAll("[id]")]) named.removeAttribute("id");
    return made;
  };
  byId("briefing").replaceChildren(
    make("h1", {}, `${t("briefingTitle")}: ${region.name}`),
    make("p", {}, make("strong", {}, spanText(shown, region.timezone)), ` · ${byId("when-zone").textContent} · `, byId("total").textContent, ` · ${shown.asked.category || t("allCategories")}`),
    ...(byId("vs-text").textContent ? [make("p", {}, byId("vs-text").textContent)] : []),
    ...(picture ? [picture] : []),
    make("div", { class: "columns" }, legend, make("div", {}, copy("shares"), copy("shares-note"))),
    cells,
    make("h3", {}, t("caveats")), make("ul", { class: "plain" }, ...caveats.map((text) => make("li", {}, text))),
    make("p", { class: "note" }, `${t("version")} ${shown.model_version} · ${byId("data-until").textContent} · ${t("madeBy", { date: today })} · ${location.origin}${address()}`),
    ...(byId("attribution")?.textContent ? [make("p", { class: "note credit" }, byId("attribution").textContent)] : []),
  );
}

/** What is printed where there is no forecast that may be: why not, instead of a white page. @param {string} why */
export function fillExcuse(why) {
  byId("briefing").replaceChildren(make("h1", {}, "hotslot"), make("p", {}, why));
}
