/** Raster tiles beneath the cells, where the administrator set them (`HOTSLOT_PAGE_TILES_URL`). */
import { make } from "./dom.js";
import { t } from "./i18n.js";

const TILE_PX = 256;
const OPAQUE = 0.92;
/** Streets stay legible beneath the cells: the more so, the less a cell says. */
const [FAINTEST, STRONGEST] = [0.08, 0.78];
const meta = /** @type {HTMLMetaElement | null} */ (document.querySelector("meta[name=tiles]"));

/** How opaque a colour is, in the map as in its legend. @param {number} weight 0 for the least telling, 1 for the most */
export const opacityOf = (weight) => (meta ? FAINTEST + (STRONGEST - FAINTEST) * weight : OPAQUE);

/** Put them on the map, below all else that comes. @param {any} map */
export function addTiles(map) {
  if (!meta) return;
  map.addSource("tiles", { type: "raster", tiles: [meta.content], tileSize: TILE_PX });
  map.addLayer({ id: "tiles", type: "raster", source: "tiles", paint: { "raster-fade-duration": 0 } });
  const line = make("div", { id: "attribution", class: "maplibregl-ctrl" }, meta.dataset.attribution ?? "");
  map.addControl({ onAdd: () => line, onRemove: () => line.remove() }, "bottom-right");
  map.on("error", (/** @type {any} */ event) => {
    if (event.sourceId === "tiles") line.textContent = t("noStreets");
    else console.error(event.error);
  });
}
