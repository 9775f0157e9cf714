/** What serves the region shown, and whether something newer does: a state was made, a version promoted, an hour has passed. */
import { getJson } from "./api.js";
import { inZone } from "./time.js";
import { view } from "./view.js";

const FOLLOW_MS = 30_000;
const CLOCK_MS = 10_000;

/** @type {{version: string, state: string, data_until: string} | null} */
let served = null;

/** Look what serves now; null where nothing does. */
export async function lookWhatServes() {
  const region = view.region;
  const found = await getJson(`/v1/regions/${encodeURIComponent(region)}/state`).catch(() => null);
  if (region === view.region) served = found;
  return served;
}

/**
 * Look again and again while the page is seen.
 * @param {() => boolean} idle whether the page may be drawn anew
 * @param {() => Promise<any>} onState @param {() => Promise<any>} onVersion
 */
export function follow(idle, onState, onVersion) {
  setInterval(async () => {
    if (document.hidden || !idle()) return;
    const [region, before, now] = [view.region, served, await lookWhatServes()];
    if (!now || region !== view.region) return;
    if (now.version !== before?.version) await onVersion();
    else if (now.state !== before.state) await onState();
  }, FOLLOW_MS);
}

/** An embedded map shows the hour that it is, where it was not asked for another. @param {() => any} region @param {() => Promise<any>} showForecast */
export function followClock(region, showForecast) {
  let last = "";
  setInterval(() => {
    if (!view.isLive || !region()) return undefined;
    const now = inZone(new Date(), region().timezone);
    const before = last;
    last = now;
    if (!before || now === before || view.at !== before) return undefined;
    view.at = now;
    return showForecast();
  }, CLOCK_MS);
}
