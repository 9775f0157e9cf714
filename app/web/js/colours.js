/** Colour scales that stay apart for the colour-blind: light to dark, on a square-root scale. */
import { isDark } from "./theme.js";
import { opacityOf } from "./tiles.js";

const LIGHT = ["#ffffe5", "#e8f6c5", "#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#253494", "#081d58"];
/** What stands out is dark on a light ground and light on a dark one. */
const SEQUENTIAL = isDark ? LIGHT.toReversed() : LIGHT;

/** Purple: less than usual; the ground's own: as usual; orange: more. */
const DIVERGING = isDark
  ? ["#e2d4ff", "#b9a0ee", "#8a6cc9", "#574287", "#28303a", "#80511a", "#bf7a22", "#eda646", "#ffd9a0"]
  : ["#2d004b", "#542788", "#8073ac", "#b2abd2", "#f7f7f7", "#fdb863", "#e08214", "#b35806", "#7f3b08"];

/** @param {string} hex */
const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

/** @param {string[]} stops @param {number} size */
function ramp(stops, size = 256) {
  const colours = stops.map(rgb);
  return Array.from({ length: size }, (_, i) => {
    const at = (i / (size - 1)) * (colours.length - 1);
    const low = Math.min(Math.floor(at), colours.length - 2);
    return colours[low].map((v, channel) => Math.round(v + (colours[low + 1][channel] - v) * (at - low)));
  });
}

export const SEQUENTIAL_RAMP = ramp(SEQUENTIAL);
export const DIVERGING_RAMP = ramp(DIVERGING);

/** The value that all but a thousandth of the cells stay below. @param {number[]} values */
export function upperEnd(values) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.floor(0.999 * (sorted.length - 1))] || sorted[sorted.length - 1] || 1;
}

/**
 * Four bytes a cell.
 * @param {{values: number[], place: (v: number) => number, ramp: number[][]}} scale
 */
export function painted({ values, place, ramp: colours }) {
  const words = new Uint32Array(Uint8Array.from(colours.flatMap((colour, i) => [...colour, Math.round(255 * opacityAt(colours, i))])).buffer);
  const painted = new Uint32Array(values.length);
  for (let cell = 0; cell < values.length; cell++) {
    painted[cell] = words[Math.round(place(values[cell]) * (colours.length - 1))];
  }
  return new Uint8Array(painted.buffer);
}

/** The middle of the diverging ramp says least, and the beginning of the other. @param {number[][]} colours @param {number} i */
const opacityAt = (colours, i) => opacityOf(colours === DIVERGING_RAMP ? Math.abs((2 * i) / (colours.length - 1) - 1) : i / (colours.length - 1));

/** CSS gradient of a ramp. @param {number[][]} colours @param {boolean} [asOnMap] as opaque as cells are, else wholly */
export const gradient = (colours, asOnMap = false) =>
  `linear-gradient(to right, ${colours.flatMap((c, i) => (i % 17 === 0 ? [`rgb(${c.join(" ")} / ${asOnMap ? opacityAt(colours, i).toFixed(2) : 1})`] : [])).join(",")})`;
