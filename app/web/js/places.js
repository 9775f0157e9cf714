/** Names of places: of neighbourhoods, and of streets. */
import { expectStreets } from "./streets.js";

export { showStreets } from "./streets.js";

/** @type {{name: string, rings: number[][][]}[]} */ let areas = [];

/** @param {any} region a reply of the service */
export function expectPlaces(region) {
  expectStreets(region);
  areas = (region.neighbourhoods?.features ?? []).flatMap((/** @type {any} */ feature) => {
    const { type, coordinates } = feature.geometry ?? {};
    const polygons = type === "MultiPolygon" ? coordinates : type === "Polygon" ? [coordinates] : [];
    const name = feature.properties?.name ?? feature.properties?.id ?? feature.id ?? "";
    return polygons.map((/** @type {number[][][]} */ rings) => ({ name: String(name), rings }));
  });
}

/** The neighbourhood that holds a place, else the nearest, else "". @param {number} lon @param {number} lat */
export function nameOf(lon, lat) {
  const holder = areas.find(({ rings }) => inside(rings[0], lon, lat) && !rings.slice(1).some((hole) => inside(hole, lon, lat)));
  return (holder ?? nearest(lon, lat))?.name ?? "";
}

/** By the nearest corner of an outline. @param {number} lon @param {number} lat */
function nearest(lon, lat) {
  const squeeze = Math.cos((lat * Math.PI) / 180) ** 2;
  let [best, found] = [Infinity, areas[0]];
  for (const area of areas) {
    for (const [x, y] of area.rings[0]) {
      const far = squeeze * (x - lon) ** 2 + (y - lat) ** 2;
      if (far < best) [best, found] = [far, area];
    }
  }
  return found;
}

/** Even-odd rule. @param {number[][]} ring @param {number} x @param {number} y */
function inside(ring, x, y) {
  let within = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [[xi, yi], [xj, yj]] = [ring[i], ring[j]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) within = !within;
  }
  return within;
}
