/** Raster tiles beneath the cells, where the administrator set them (`HOTSLOT_PAGE_TILES_URL`). */
import { make } from "./dom.js";

const TILE_PX = 256;
/** Streets stay legible beneath the cells. */
const COVERED = 0.6;
const meta = /** @type {HTMLMetaElement | null} */ (document.querySelector("meta[name=tiles]"));

/** How opaque cells are. */
export const cellsOpacity = meta ? COVERED : 1;

/** Put them on the map, below all else that comes. @param {any} map */
export function addTiles(map) {
  if (!meta) return;
  map.addSource("tiles", { type: "raster", tiles: [meta.content], tileSize: TILE_PX });
  map.addLayer({ id: "tiles", type: "raster", source: "tiles", paint: { "raster-fade-duration": 0 } });
  const line = make("div", { id: "attribution", class: "maplibregl-ctrl" }, meta.dataset.attribution ?? "");
  if (meta.dataset.attribution) map.addControl({ onAdd: () => line, onRemove: () => line.remove() }, "bottom-right");
}
