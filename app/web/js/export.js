/** Export: files, a link to this view, a one-page briefing. */
import { forecastPath, save } from "./api.js";
import { byId, make } from "./dom.js";
import { currentLanguage, t } from "./i18n.js";
import { showError } from "./runs.js";
import { messageText } from "./service-messages.js";
import { plusHours, spanText, weekStart } from "./time.js";
import { address, view } from "./view.js";

const FORMATS = [["geojson", "GeoJSON"], ["csv", "CSV"], ["tif", "GeoTIFF"], ["png", "PNG"], ["parquet", "GeoParquet"]];

/** The selectors of what is shown. */
export function selectors() {
  const when = view.hours > 1 ? { from: view.at, to: plusHours(view.at, view.hours) } : { at: view.at };
  return { ...when, category: view.category, model: view.model };
}

/** @param {{onBriefing: () => Promise<void>}} actions */
export function drawExport({ onBriefing }) {
  const stamp = `${view.region}-${view.at.slice(0, 13)}`;
  const link = (/** @type {string} */ href, /** @type {string} */ name, /** @type {string} */ text) => {
    const made = make("a", { class: "button", href, download: name }, text);
    made.addEventListener("click", (/** @type {Event} */ event) => {
      event.preventDefault();
      save(href, name).catch(showError);
    });
    return made;
  };
  const files = FORMATS.map(([f, name]) => link(forecastPath(view.region, "density", { ...selectors(), f }), `${stamp}.${f}`, name));
  const hotspots = ["geojson", "csv"].map((f) =>
    link(forecastPath(view.region, "hotspots", { ...selectors(), top: view.top, f }), `${stamp}-hotspots.${f}`, f === "csv" ? "CSV" : "GeoJSON"));
  const monday = weekStart(view.at);
  const week = { from: monday, to: plusHours(monday, 168), category: view.category, model: view.model, f: "csv" };
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
    make("h3", {}, t("series")), make("div", { class: "buttons" }, link(forecastPath(view.region, "series", week), `${stamp}-week.csv`, "CSV")),
    make("h3", {}, t("permalink")), box, make("div", { class: "buttons" }, copy, status),
    make("h3", {}, t("briefing")), make("p", { class: "note" }, t("briefingText")), print,
  );
}

/** Update the link. */
export function refreshPermalink() {
  const box = byId("permalink");
  if (box) box.value = location.origin + address();
}

/**
 * Fill the page that is printed.
 * @param {{region: any, shown: any, picture: string, cells: Node}} content
 */
export function fillBriefing({ region, shown, picture, cells }) {
  const today = new Intl.DateTimeFormat(currentLanguage(), { dateStyle: "long" }).format(new Date());
  const caveats = [...shown.warnings.map(messageText), t("caveat1"), t("caveat2"), t("caveat3")];
  const legend = make("div", { class: "legend" }, ...[...byId("legend").childNodes].map((node) => node.cloneNode(true)));
  const copy = (/** @type {string} */ id) => {
    const made = byId(id).cloneNode(true);
    made.removeAttribute("id");
    return made;
  };
  byId("briefing").replaceChildren(
    make("h1", {}, `${t("briefingTitle")}: ${region.name}`),
    make("p", {}, make("strong", {}, spanText(view.at, view.hours)), " · ", byId("total").textContent, view.category ? ` · ${view.category}` : ""),
    make("img", { src: picture, alt: t("map") }),
    make("div", { class: "columns" }, legend, make("div", {}, copy("shares"), copy("shares-note"))),
    cells,
    make("h3", {}, t("caveats")), make("ul", { class: "plain" }, ...caveats.map((text) => make("li", {}, text))),
    make("p", { class: "note" }, `${t("version")} ${shown.model_version} · ${byId("data-until").textContent} · ${t("madeBy", { date: today })} · ${location.origin}${address()}`),
  );
}
