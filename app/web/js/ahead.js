/** The hour that plays next is asked for while the last one is looked at: none is waited for with a blank or greyed map. */
import { forecastPath, getJson } from "./api.js";
import { selectors } from "./export.js";
import { askedFor, view } from "./view.js";

/** @type {{path: string, reply: Promise<any>} | null} */ let held = null;

/** What the view asks for, at another hour. @param {string} at */
const pathAt = (at) => forecastPath(view.region, "density", selectors({ ...askedFor(), at }));

// Browsers keep replies for a minute, in which a new state may serve.
const ask = (/** @type {string} */ path) => getJson(path, { cache: "no-cache" });

/** Ask for an hour before its turn. @param {string} at @returns {Promise<any>} when it is there, or could not be had */
export function askAhead(at) {
  const path = pathAt(at);
  if (held?.path !== path) held = { path, reply: ask(path) };
  return held.reply.catch(() => { held = null; });
}

/** The reply to what the view asks for: the one that was asked for ahead, once, else a new one. */
export function askedReply() {
  const path = pathAt(view.at);
  const reply = held?.path === path ? held.reply : ask(path);
  held = null;
  return reply;
}
