/** Before there is a model, the incidents are the first proof that they arrived, and in the right place. */
import { may } from "./access.js";
import { getJson, regionPath } from "./api.js";
import { byId } from "./dom.js";
import { count, t } from "./i18n.js";
import { openMap } from "./open-map.js";

const MAX_POINTS = 2_000;

/**
 * Read a region's incidents for the map; nothing where there are none, or the key may not list them.
 * @param {any} region @returns {Promise<any>}
 */
async function pointsOf(region) {
  if (!region?.incidents || !may("outcomes")) return null;
  return getJson(regionPath(region.id, `incidents?limit=${MAX_POINTS}`));
}

/** Say how many of all incidents are shown. @param {any} found @param {any} region */
function sayPoints(found, region) {
  byId("total").textContent = byId("plan-zone").textContent = t("pointsShown", { n: count(found.features.length), all: count(region.incidents) });
}

/** Draw them. @param {any} region @param {() => Promise<any>} whenMap @param {(region: any) => boolean} isWanted whether they still are */
export async function showPoints(region, whenMap, isWanted) {
  const found = await pointsOf(region);
  if (!found) return;
  await whenMap();
  if (!isWanted(region)) return;
  openMap().points(found);
  sayPoints(found, region);
}
