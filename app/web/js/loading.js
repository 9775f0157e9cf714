/** Whether the forecast that is seen is the one that the controls ask for: it may be on its way, or asking may have failed. */
import { askForKey } from "./access.js";
import { byId } from "./dom.js";
import { t } from "./i18n.js";
import { isPassing, showError } from "./runs.js";

const RETRY_MS = 15_000;
let timer = 0;
/** @type {() => any} */ let again = () => {};

/** @param {() => any} retry asks anew for whatever the controls say */
export function openLoading(retry) {
  again = () => {
    clearTimeout(timer);
    return retry();
  };
  byId("retry").addEventListener("click", () => again());
  addEventListener("online", () => document.body.dataset.load === "failed" && again());
}

/** Whether what is seen is what is asked for. */
export const isCurrent = () => document.body.dataset.load === "done";

export const startLoading = () => mark("loading");

export function endLoading() {
  showError();
  mark("done");
}

/** What is seen is out of date: say why, and ask again by itself where that may help. @param {any} error */
export function failLoading(error) {
  mark("failed");
  showError(error, true);
  if (error.status === 401) askForKey();
  if (isPassing(error)) timer = setTimeout(again, RETRY_MS);
}

/** @param {"loading" | "done" | "failed"} state */
function mark(state) {
  clearTimeout(timer);
  document.body.dataset.load = state;
  byId("stage").setAttribute("aria-busy", String(state === "loading"));
  byId("busy").textContent = { loading: t("loading"), failed: t("outOfDate"), done: "" }[state];
  markPrint();
}

/** Nothing is printed while it is out of date. */
export function markPrint() {
  for (const button of document.querySelectorAll("#print, .of-plan")) /** @type {any} */ (button).disabled = !isCurrent();
}

/** Errors end as the page's error line. @param {(...given: any[]) => Promise<any>} work */
export const guarded = (work) => (/** @type {any[]} */ ...given) => work(...given).catch(showError);

/** Errors leave what is seen out of date. @param {(...given: any[]) => Promise<any>} work */
export const loading = (work) => (/** @type {any[]} */ ...given) => work(...given).catch(failLoading);
