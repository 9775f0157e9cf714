/** Long jobs: start one, show its progress and how it ended. */
import { events, getJson } from "./api.js";
import { byId, make } from "./dom.js";
import { currentLanguage, t } from "./i18n.js";
import { messageText } from "./service-messages.js";

const ENDED = ["succeeded", "failed", "cancelled"];
const POLL_MS = 700;
const HINTS = /** @type {Record<string, string>} */ ({
  no_model: "hintNoModel", overloaded: "hintUnavailable", database_unavailable: "hintUnavailable", unavailable: "hintUnavailable",
  missing_column: "hintColumns",
});
const STATUS_HINTS = /** @type {Record<number, string>} */ ({ 401: "hintKey", 403: "hintRole", 429: "hintSlower", 503: "hintUnavailable", 507: "hintDisk" });
/** Hints that say it all: beside them, the service's own English is left out on pages of other languages. */
const ENOUGH = ["hintNoModel", "hintUnavailable", "hintKey", "hintRole", "hintDisk"];

/** What went wrong and what a person can do about it. @param {any} error */
export function explain(error) {
  if (error instanceof TypeError) return t("hintNetwork");
  const hint = HINTS[error.code] ?? STATUS_HINTS[error.status];
  if (hint && ENOUGH.includes(hint) && currentLanguage() !== "en") return t("error", { message: t(hint) });
  const said = String(error.message ?? "").trim() || t("noReason");
  return t("error", { message: hint && !/[.!?]$/.test(said) ? `${said}.` : said }) + (hint ? ` ${t(hint)}` : "");
}

/** Whether an error may be gone when the same is asked again. @param {any} error */
export const isPassing = (error) => error instanceof TypeError || error.status === 429 || error.status >= 500;

/** Show or hide the page's error line. @param {any} [error] @param {boolean} [retry] whether asking for the forecast again may help */
export function showError(error, retry = false) {
  byId("message").hidden = error === undefined;
  byId("retry").hidden = !retry;
  byId("message-text").textContent = error === undefined ? "" : explain(error);
}

/** An element for the outcome of an action. @param {string} id */
export const notice = (id) => make("div", { class: "status", role: "status", id });

/** @param {any} status element @param {any} error */
export function showErrorIn(status, error) {
  status.className = "status bad";
  status.textContent = explain(error);
}

/** Whether a run has ended. @param {any} run */
export const ended = (run) => ENDED.includes(run.status);

/** @param {any} status element @param {any} run */
export function showRun(status, run) {
  status.classList.toggle("bad", run.status === "failed");
  status.classList.toggle("good", run.status === "succeeded");
  const keys = /** @type {Record<string, string>} */ ({ succeeded: "trainingDone", failed: "trainingFailed", cancelled: "trainingCancelled" });
  const text = ended(run) ? t(keys[run.status], { message: runText(run) }) : `${Math.round(100 * (run.progress ?? 0))} % · ${runText(run)}`;
  const bar = make("progress", { max: 1, value: run.progress ?? 0, "aria-label": text });
  status.replaceChildren(...(ended(run) ? [] : [bar]), make("div", { title: (currentLanguage() === "en" && run.message) || false }, text));
}

/** What a run is at or how it ended; one of an earlier version has only English words. @param {any} run @returns {string} */
export const runText = ({ said, message, status }) => (said ? messageText(said) : message || t(`run_${status}`));

/**
 * Start a job and follow it to its end by asking again and again.
 * @param {string} base @param {() => Promise<any>} start @param {any} status element
 */
export async function follow(base, start, status) {
  try {
    let run = await start();
    while (!ended(run)) {
      showRun(status, run);
      await new Promise((done) => setTimeout(done, POLL_MS));
      run = await getJson(`${base}/${run.id}`);
    }
    showRun(status, run);
  } catch (error) {
    showErrorIn(status, error);
  }
}

/**
 * Follow a training run by its server-sent events; a stream that breaks is asked for again.
 * @param {string} path of the run @param {any} status element @returns {Promise<any>} the ended run
 */
export async function followEvents(path, status) {
  for (;;) {
    let last = /** @type {any} */ (null);
    await events(`${path}/events`, (run) => {
      last = run;
      showRun(status, run);
    }).catch((error) => {
      // A short outage of the service is no reason to stop following; a refusal is.
      if (!(error instanceof TypeError)) throw error;
    });
    if (last && ended(last)) return last;
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}
