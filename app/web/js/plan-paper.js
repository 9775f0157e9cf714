/** What a plan leaves the page as: one page of paper, files for the car, a link. */
import { forecastPath, save } from "./api.js";
import { byId, make } from "./dom.js";
import { currentLanguage, t } from "./i18n.js";
import { guarded, markPrint } from "./loading.js";
import { messageText } from "./service-messages.js";
import { address } from "./view.js";

const plain = (/** @type {string} */ text) => text.normalize("NFD").replace(/[^\w-]+/g, "-");

/** Names state all by which plans differ. @param {any} plan */
const stampOf = ({ asked, at, n_slots: n = 1, zones, former, model_version: version }) =>
  ["plan", asked.region, at.slice(0, 13), `${n}h`, `${asked.n}cars`, ...(asked.category ? [plain(asked.category)] : []), ...(asked.weight ? [asked.weight] : []),
    ...[asked.inside ?? asked.within].filter(Boolean).map(plain), ...(former ? ["kept"] : []), ...(zones.length ? ["edited"] : []), version].join("-");

/** Where letters are of that size, so is paper. */
const paper = () => (/-(US|CA|MX|PH|CL|CO|VE)$/i.test(navigator.language) ? "letter" : "a4");

/** Parts of the page that are controls. */
const CONTROLS = ".tools, .redraw, button:not(.pin)";

/** The sheet that the browser's own menu prints: what is shown, without its controls. @param {any} region @param {any} plan @param {HTMLCanvasElement | null} picture */
export function fillPlanSheet(region, plan, picture) {
  const shown = byId("plan").cloneNode(true);
  for (const control of shown.querySelectorAll(CONTROLS)) control.remove();
  for (const named of [shown, ...shown.querySelectorAll("[id]")]) named.removeAttribute("id");
  byId("briefing").replaceChildren(
    make("h1", {}, `${t("planPaper")}: ${region.name}`),
    make("p", {}, make("strong", {}, byId("plan-when").textContent), ` · ${byId("plan-zone").textContent} · ${byId("plan-summary").textContent} · ${plan.asked.weight ? t("byHarm") : plan.asked.category || t("allCategories")}`),
    ...(picture ? [picture] : []),
    make("div", { class: "plan-sheet" }, shown),
    make("ul", { class: "plain" }, ...[...plan.warnings.map(messageText), t("caveat1"), t("caveat2")].map((text) => make("li", {}, text))),
    make("p", { class: "note" }, `${t("version")} ${plan.model_version} · ${location.origin}${address()}`),
    ...(byId("attribution")?.textContent ? [make("p", { class: "note credit" }, byId("attribution").textContent)] : []),
  );
}

/** @param {any} plan */
export function drawActions(plan) {
  const file = (/** @type {string} */ f) => {
    const { region: id, ...asked } = plan.asked;
    return save(forecastPath(id, "zones", { ...asked, f, ...(f === "pdf" ? { lang: currentLanguage(), paper: paper(), record: true } : {}) }), `${stampOf(plan)}.${f}`, plan.sent);
  };
  const status = make("span", { class: "note", role: "status" });
  const copy = make("button", { type: "button", id: "plan-copy" }, t("planCopy"));
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(location.origin + address()).then(() => { status.textContent = t("planCopied"); }, () => {});
  });
  const button = (/** @type {string} */ f, /** @type {string} */ key, /** @type {string} */ name = "") =>
    make("button", { type: "button", class: `${name} of-plan`, "data-file": f, title: t(`${key}Long`), onclick: guarded(() => file(f)) }, t(key));
  byId("plan-actions").hidden = false;
  byId("plan-actions").replaceChildren(button("pdf", "planPdf", "primary"), button("gpx", "planGpx"), button("gpkg", "planGpkg"), copy, status);
  markPrint();
}
