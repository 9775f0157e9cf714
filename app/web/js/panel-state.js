/** Parts of a panel that outlive its redraws: what was typed or opened stays until the caller, the region or the language changes. */
import { callerTurn } from "./access.js";
import { make } from "./dom.js";
import { currentLanguage } from "./i18n.js";
import { showError } from "./runs.js";

/** @type {Map<string, {sign: string, part: any}>} */ const parts = new Map();

/** @param {string} name @param {string} region "" for none @param {() => any} build */
export function lasting(name, region, build) {
  const sign = [region, currentLanguage(), callerTurn()].join("|");
  const known = parts.get(name);
  if (known?.sign === sign) return known.part;
  const part = build();
  parts.set(name, { sign, part });
  return part;
}

/**
 * A closed part whose module and content are loaded when it is first opened.
 * @param {string} id @param {string} title @param {string} region @param {(holder: any) => Promise<any>} fill
 */
export const lazyDetails = (id, title, region, fill) => lasting(id, region, () => {
  const holder = make("div");
  const part = make("details", { id, class: "part" }, make("summary", {}, title), holder);
  let asked = false;
  part.addEventListener("toggle", () => {
    if (!part.open || asked) return;
    asked = true;
    fill(holder).catch((error) => {
      asked = false;
      showError(error);
    });
  });
  return part;
});
