/** What is printed, by the button or by the browser's own menu: the briefing, at once. */
import { byId } from "./dom.js";
import { fillBriefing, fillExcuse } from "./export.js";
import { topCells } from "./forecast.js";
import { t } from "./i18n.js";
import { isCurrent } from "./loading.js";
import { openMap } from "./open-map.js";
import { fillPlanPaper } from "./plan.js";
import { view } from "./view.js";

/** @param {any} region @param {any} shown the reply that is shown @param {number[]} ranked rows of its cells */
export function fillPaper(region, shown, ranked) {
  if (view.tab === "plan" && shown && isCurrent()) return fillPlanPaper(region);
  if (shown && isCurrent()) return fillBriefing({ region, shown, picture: openMap()?.picture() ?? null, cells: topCells(shown, ranked, () => {}) });
  return fillExcuse(shown ? t("notPrinted") : byId("when").textContent);
}
