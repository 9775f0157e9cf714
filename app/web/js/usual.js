/** The mean of the whole week, with which an hour can be compared. */
import { forecastPath, getJson } from "./api.js";
import { selectors } from "./export.js";
import { plusHours, weekStart } from "./time.js";
import { view } from "./view.js";

/** @type {any} */ let found = null;

export const usual = () => found;

export function forgetUsual() {
  found = null;
}

/** Load the week of the chosen hour, unless it is the one at hand. */
export async function loadUsual() {
  const monday = weekStart(view.at);
  const path = forecastPath(view.region, "density", { ...selectors(), at: "", from: monday, to: plusHours(monday, 168) });
  if (found?.path !== path) found = { path, ...(await getJson(path)) };
}
