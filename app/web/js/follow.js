/** What serves the region shown, and whether something newer does: a state was made, a version promoted. */
import { getJson } from "./api.js";
import { view } from "./view.js";

const FOLLOW_MS = 30_000;

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
