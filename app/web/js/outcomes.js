/** What happened last week, over the map: asked again whenever what it is judged by changes. */
import { forecastPath, getJson } from "./api.js";
import { view } from "./view.js";

let wanted = false;
let key = "";
/** @type {any} */ let found = null;

/** The reply that is on the map, or null. */
export const outcomes = () => found;

/** @param {boolean} on */
export function wantOutcomes(on) {
  wanted = on;
}

/** Another region. */
export function forgetOutcomes() {
  [wanted, key, found] = [false, "", null];
}

/** Ask for what is not held yet. @returns {Promise<boolean>} whether something else is held now */
export async function loadOutcomes() {
  const path = wanted ? forecastPath(view.region, "outcomes", { top: view.top, category: view.category, model: view.model }) : "";
  if (path === key) return false;
  key = path;
  found = null;
  try {
    const reply = path ? await getJson(path) : null;
    if (path === key) found = reply;
  } catch (error) {
    if (path === key) key = "";
    throw error;
  }
  return path === key;
}
