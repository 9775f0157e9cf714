/** How the map that zooms looks: its options, its ground, its layers of dots and lines, the names of its buttons. */
import { t } from "./i18n.js";
import { COLOURS } from "./overlays.js";

/** One city seen from above: no turning, no fading, nothing drawn twice (but on the 180th meridian). */
export const PLAIN = /** @type {const} */ ({
  attributionControl: false, dragRotate: false, pitchWithRotate: false, fadeDuration: 0, renderWorldCopies: false,
  crossSourceCollisions: false, refreshExpiredTiles: false, validateStyle: false,
});
export const STYLE = /** @type {any} */ ({
  version: 8, sources: {},
  layers: [{ id: "background", type: "background", paint: { "background-color": COLOURS.ground } }],
});
export const OWN = /** @type {any} */ ({
  id: "own", type: "line", source: "own", paint: { "line-color": COLOURS.own, "line-width": 2.5, "line-dasharray": [2, 1] },
});

/** What happened, incidents, areas: layers of the map that zooms. */
export const DOTS = /** @type {any} */ ({
  id: "outcomes", type: "circle", source: "outcomes",
  paint: {
    "circle-radius": ["interpolate", ["linear"], ["+", ["get", "hits"], ["get", "misses"]], 1, 3.5, 10, 9],
    "circle-color": ["case", [">=", ["get", "hits"], ["get", "misses"]], COLOURS.hit, COLOURS.miss],
    "circle-stroke-color": "#fff", "circle-stroke-width": 1.2,
  },
});
export const POINTS = /** @type {any} */ ({
  id: "points", type: "circle", source: "points",
  paint: { "circle-radius": 2.5, "circle-color": COLOURS.chosen, "circle-opacity": 0.5 },
});
export const PARTS = /** @type {any} */ ({
  id: "neighbourhoods", type: "line", source: "neighbourhoods", layout: { "line-join": "round", "line-cap": "round" },
  paint: { "line-color": COLOURS.part, "line-width": ["interpolate", ["linear"], ["zoom"], 9, 0.5, 13, 1.6] },
});

/** What the library names in English only. @param {any} map */
export function nameControls(map) {
  const names = /** @type {Record<string, string>} */ ({ canvas: "map", ".maplibregl-ctrl-zoom-in": "zoomIn", ".maplibregl-ctrl-zoom-out": "zoomOut", "#whole-city": "wholeCity" });
  for (const [which, key] of Object.entries(names)) {
    const element = map.getContainer().querySelector(which);
    if (!element) continue;
    element.dataset.i18nLabel = key;
    element.setAttribute("aria-label", t(key));
    element.title = t(key);
  }
}
