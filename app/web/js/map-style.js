/** How the map that zooms looks: its options, its ground, and its layers of dots and lines. */
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
