/** What lies beneath the cells, where the administrator set it: raster tiles of another host, or one PMTiles file of our own. */
import { make } from "./dom.js";
import { t } from "./i18n.js";

const TILE_PX = 256;
const OPAQUE = 0.92;
/** Streets stay legible beneath the cells: the more so, the less a cell says. */
const [FAINTEST, STRONGEST] = [0.08, 0.78];
const meta = /** @type {HTMLMetaElement | null} */ (document.querySelector("meta[name=tiles], meta[name=basemap]"));

export const hasBasemap = meta !== null;
let isLaid = hasBasemap;

/** Whether streets lie beneath the cells. @param {boolean} there the region's own */
export const layStreets = (there) => { isLaid = hasBasemap || there; };

/** How opaque a colour is, in the map as in its legend. @param {number} weight 0 for the least telling, 1 for the most */
export const opacityOf = (weight) => (isLaid ? FAINTEST + (STRONGEST - FAINTEST) * weight : OPAQUE);

/**
 * Put them on the map, beneath the layer `cells`; names above it, beneath the layer `boundary`.
 * @param {any} map @param {boolean} credited whether the map shows whose they are; another beside it does
 */
export async function addTiles(map, credited) {
  if (!meta) return;
  const line = make("div", { class: "maplibregl-ctrl", ...(credited ? { id: "attribution" } : { hidden: true }) }, meta.dataset.attribution ?? "");
  map.addControl({ onAdd: () => line, onRemove: () => line.remove() }, "bottom-right");
  const missing = () => { line.textContent = t("noStreets"); };
  map.on("error", (/** @type {any} */ event) => {
    if (event.sourceId === "tiles") missing();
    else console.error(event.error);
  });
  if (meta.name === "tiles") {
    map.addSource("tiles", { type: "raster", tiles: [meta.content], tileSize: TILE_PX });
    map.addLayer({ id: "tiles", type: "raster", source: "tiles", paint: { "raster-fade-duration": 0 } }, "cells");
    return;
  }
  try {
    const { addBasemap } = await import("./basemap.js");
    const credit = await addBasemap(map, meta.content);
    line.textContent ||= credit;
  } catch (error) {
    console.warn(`no base map: ${error}`);
    missing();
  }
}
