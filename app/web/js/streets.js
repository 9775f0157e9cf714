/** The region's own streets: drawn beneath the cells, without any other host, and names of places by them. */
import { getJson, regionPath } from "./api.js";
import { beside } from "./lattice.js";
import { showError } from "./runs.js";
import { hasBasemap, layStreets } from "./tiles.js";

/** A place farther from its second street is named by one. */
const CROSSING_M = 250;
const STREET_M = 500;
const M_PER_DEGREE = 111_320;

/** @type {{digest: string, names: string[], lines: {name: number, places: number[][]}[]} | null} */ let held = null;
/** @type {string} */ let asked = "";

/** Cells let streets through from the first paint on. @param {any} region a reply of the service */
export function expectStreets(region) {
  const digest = region?.streets ?? "";
  layStreets(digest !== "");
  if (held?.digest !== digest) held = null;
  asked = digest;
}

/**
 * Load the streets, once, and draw them; the forecast has been drawn before.
 * @param {any} region @param {any} map @param {() => void} onNew places have other names now
 */
export async function showStreets(region, map, onNew) {
  const digest = region?.streets ?? "";
  const isNew = digest !== "" && held?.digest !== digest;
  if (isNew) {
    const reply = await getJson(regionPath(region.id, "streets/lines")).catch((error) => showError(error, true));
    if (!reply || asked !== digest) return;
    held = { digest: reply.digest, names: reply.names, lines: reply.lines.map((/** @type {number[]} */ line) => unpacked(line, reply.units)) };
  }
  if (held && !hasBasemap) map?.streets?.(held.digest, held.lines.map(({ places }) => places));
  if (isNew) onNew();
}

/** The name's number, a place, and steps from place to place, in units. @param {number[]} line @param {number} units */
function unpacked([name, ...steps], units) {
  let [x, y] = [0, 0];
  const places = [];
  for (let i = 0; i < steps.length; i += 2) {
    [x, y] = [x + steps[i], y + steps[i + 1]];
    places.push([x * units, y * units]);
  }
  return { name, places };
}

/** The two nearest streets of different names, "" far from all. @param {number} lon @param {number} lat */
export function crossingOf(lon, lat) {
  if (!held) return "";
  const squeeze = Math.cos((lat * Math.PI) / 180);
  const far = new Map();
  for (const { name, places } of held.lines) {
    if (name < 0) continue;
    let nearest = far.get(name) ?? Infinity;
    for (let i = 1; i < places.length; i++) nearest = Math.min(nearest, distance(lon, lat, squeeze, places[i - 1], places[i]));
    far.set(name, nearest);
  }
  const [first, second] = [...far].sort((a, b) => a[1] - b[1]).map(([name, degrees]) => ({ name: held?.names[name] ?? "", away: degrees * M_PER_DEGREE }));
  if (!first || first.away > STREET_M) return "";
  return second && second.away <= CROSSING_M ? `${first.name} / ${second.name}` : first.name;
}

/** From a place to a straight piece, in degrees of latitude. @param {number} lon @param {number} lat @param {number} squeeze @param {number[]} from @param {number[]} to */
function distance(lon, lat, squeeze, from, to) {
  const [ax, ay] = [(beside(from[0], lon) - lon) * squeeze, from[1] - lat];
  const [dx, dy] = [(to[0] - from[0]) * squeeze, to[1] - from[1]];
  const along = Math.min(Math.max(-(ax * dx + ay * dy) / (dx * dx + dy * dy || 1), 0), 1);
  return Math.hypot(ax + along * dx, ay + along * dy);
}
