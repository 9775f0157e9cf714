/** Long jobs: start one, show how far it is, tell how it ended. */
import { getJson } from "./api.js";
import { byId, make } from "./dom.js";
import { t } from "./i18n.js";

const ENDED = ["succeeded", "failed", "cancelled"];
const POLL_MS = 700;

/** What a person can do about an error. @param {any} error */
export function explain(error) {
  if (error instanceof TypeError) return t("hintNetwork");
  const hints = /** @type {Record<string, string>} */ ({ no_model: "hintNoModel", overloaded: "hintUnavailable", database_unavailable: "hintUnavailable" });
  const hint = hints[error.code];
  return t("error", { message: error.message }) + (hint ? ` ${t(hint)}` : "");
}

/** Show or hide the page's error line. @param {any} [error] */
export function tell(error) {
  const line = byId("message");
  line.hidden = error === undefined;
  line.textContent = error === undefined ? "" : explain(error);
}

/** @param {any} status element @param {any} run */
export function showRun(status, run) {
  const ended = ENDED.includes(run.status);
  status.classList.toggle("bad", run.status === "failed");
  status.classList.toggle("good", run.status === "succeeded");
  const key = run.status === "succeeded" ? "trainingDone" : "trainingFailed";
  const text = ended ? t(key, { message: run.message ?? run.status }) : `${Math.round(100 * (run.progress ?? 0))} % · ${run.message || run.status}`;
  const bar = make("progress", { max: 1, value: run.progress ?? 0, "aria-label": text });
  status.replaceChildren(...(ended ? [] : [bar]), make("div", {}, text));
}

/**
 * Start a job and follow it to its end by asking again and again.
 * @param {string} base @param {() => Promise<any>} start @param {any} status element
 */
export async function follow(base, start, status) {
  try {
    let run = await start();
    while (!ENDED.includes(run.status)) {
      showRun(status, run);
      await new Promise((done) => setTimeout(done, POLL_MS));
      run = await getJson(`${base}/${run.id}`);
    }
    showRun(status, run);
  } catch (error) {
    status.classList.add("bad");
    status.textContent = explain(error);
  }
}

/**
 * Follow a training run by its server-sent events.
 * @param {string} path of the run @param {any} status element @returns {Promise<any>} the ended run
 */
export function followEvents(path, status) {
  return new Promise((resolve) => {
    const events = new EventSource(`${path}/events`);
    events.addEventListener("progress", (event) => {
      const run = JSON.parse(event.data);
      showRun(status, run);
      if (!ENDED.includes(run.status)) return;
      events.close();
      resolve(run);
    });
  });
}
