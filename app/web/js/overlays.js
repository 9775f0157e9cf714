/** Overlays on the cells: colours of lines and dots, and where the dots go. */

import { make } from "./dom.js";
import { t } from "./i18n.js";
import { isDark } from "./theme.js";

export const COLOURS = isDark
  ? { ground: "#1a2129", ink: "#e6ecf1", part: "#8494a2", street: "#46525e", hotspot: "#ff8a3d", chosen: "#ff5cae", hit: "#2fd3a5", miss: "#ff5cae", own: "#c79bff" }
  : { ground: "#e7ebee", ink: "#16202a", part: "#5b6b79", street: "#a3acb3", hotspot: "#e6550d", chosen: "#d6006c", hit: "#009e73", miss: "#d6006c", own: "#6a1fb0" };

/** What a canvas shows now, at once: a picture from a URL would come too late for a print that has begun. @param {HTMLCanvasElement} canvas */
export function copyOf(canvas) {
  const copy = make("canvas", { width: canvas.width, height: canvas.height, role: "img", "aria-label": t("map") });
  copy.getContext("2d").drawImage(canvas, 0, 0);
  return copy;
}

/** Cells of hits and misses as points in their middles. @param {any} collection polygons of cells */
export function middles(collection) {
  const middle = (/** @type {any} */ feature) => {
    const first = feature.geometry.coordinates[0];
    const ring = typeof first[0][0] === "number" ? first : first[0];
    const [a, , c] = ring;
    return { ...feature, geometry: { type: "Point", coordinates: [(a[0] + c[0]) / 2, (a[1] + c[1]) / 2] } };
  };
  return { type: "FeatureCollection", features: collection.features.map(middle) };
}

/** All lines and rings of a geometry, a collection or nothing. @param {any} geometry @returns {number[][][]} */
export function linesOf(geometry) {
  if (!geometry) return [];
  if (geometry.features) return geometry.features.flatMap((/** @type {any} */ feature) => linesOf(feature.geometry));
  const walk = (/** @type {any} */ part) => (typeof part[0]?.[0] === "number" ? [part] : part.flatMap(walk));
  return walk(geometry.coordinates);
}
