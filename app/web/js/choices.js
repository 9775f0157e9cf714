/** The lists of a region's categories and models. */
import { byId } from "./dom.js";
import { t } from "./i18n.js";
import { fillLayers } from "./layers.js";
import { serving } from "./opening.js";
import { view } from "./view.js";

/**
 * Fill the lists; choices that the region does not have are dropped.
 * @param {any} known the region, its models and its champion
 */
export function fillChoices(known) {
  const option = (/** @type {string} */ value, /** @type {string} */ text) => new Option(text, value);
  const { categories } = known.region;
  byId("category").replaceChildren(option("", t("allCategories")), ...Object.keys(categories).map((c) => option(c, c)));
  byId("model").replaceChildren(option("", serving(known.models)), ...known.models.map((/** @type {any} */ m) => option(m.version, `${m.model} · ${m.trained_until.slice(0, 10)}`)));
  if (!known.models.some((/** @type {any} */ m) => m.version === view.model)) view.model = "";
  if (!(view.category in categories)) view.category = "";
  fillLayers(known.region);
}

/** Name the first entries in the language that was chosen. @param {any[]} models */
export function nameChoices(models) {
  byId("layer").options[0]?.replaceChildren(t("areasNone"));
  byId("category").options[0]?.replaceChildren(t("allCategories"));
  byId("model").options[0]?.replaceChildren(serving(models));
}
