import * as maplibre from "../vendor/maplibre-gl/maplibre-gl.mjs";
import { forecastPath, getJson } from "./api.js";
import { CellsLayer } from "./cells-layer.js";
import { SEQUENTIAL_RAMP, gradient, painted, upperEnd } from "./colours.js";
import { Lattice } from "./lattice.js";

const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);
const layer = new CellsLayer();
/** @type {any} */ let map;
/** @type {any} */ let shown;
/** @type {Lattice | undefined} */ let lattice;

const hourName = (/** @type {number} */ w) => `${DAYS[Math.floor(w / 24)]} ${String(w % 24).padStart(2, "0")}:00`;

function outlineCells() {
  const percent = Number(byId("top").value);
  byId("top-text").textContent = `${percent} %`;
  if (!shown || !lattice) return;
  const { probability, id } = shown.cells;
  const order = id.map((/** @type {number} */ _, /** @type {number} */ i) => i).sort((/** @type {number} */ a, /** @type {number} */ b) => probability[b] - probability[a] || a - b);
  const flagged = order.slice(0, Math.max(1, Math.floor((percent * id.length) / 100)));
  const share = flagged.reduce((/** @type {number} */ sum, /** @type {number} */ i) => sum + probability[i], 0);
  map.getSource("hotspots").setData(lattice.outline(flagged.map((/** @type {number} */ i) => id[i])));
  byId("summary").textContent = `${hourName(shown.window)}: ${shown.expected_total.toFixed(1)} incidents expected, ` +
    `${(100 * share).toFixed(0)} % of them in the top ${percent} % of the cells. ${shown.model_version}`;
}

function drawLegend(/** @type {number} */ top) {
  const ticks = [0, 1, 2, 3, 4].map((i) => `<span>${(100 * top * (i / 4) ** 2).toPrecision(2)}</span>`);
  byId("legend").innerHTML = `<div class="bar"></div><div class="ticks">${ticks.join("")}</div>% of the hour's incidents per km²`;
  byId("legend").firstElementChild.style.background = gradient(SEQUENTIAL_RAMP);
}

async function showForecast() {
  const window = Number(byId("hour").value);
  byId("hour-text").textContent = hourName(window);
  byId("message").textContent = "";
  try {
    shown = await getJson(forecastPath(byId("region").value, "density", { window }));
  } catch (error) {
    byId("message").textContent = /** @type {Error} */ (error).message;
    return;
  }
  if (!lattice || lattice.ids.length !== shown.cells.id.length || lattice.ids[0] !== shown.cells.id[0]) {
    lattice = new Lattice(shown.grid, shown.cells);
    layer.setLattice(lattice);
  }
  const top = upperEnd(shown.cells.density_per_km2);
  layer.setColours(painted(shown.cells.density_per_km2, top));
  drawLegend(top);
  outlineCells();
}

async function showRegion() {
  lattice = undefined;
  const region = await getJson(`/v1/regions/${encodeURIComponent(byId("region").value)}`);
  if (region.boundary) {
    map.getSource("boundary").setData(region.boundary);
    const bounds = new maplibre.LngLatBounds();
    const walk = (/** @type {any} */ part) => (typeof part[0] === "number" ? bounds.extend(part) : part.forEach(walk));
    walk(region.boundary.coordinates);
    map.fitBounds(bounds, { padding: 20, animate: false });
  }
  await showForecast();
}

function nameCell(/** @type {any} */ event) {
  const row = lattice?.rowAt(event.lngLat.lng, event.lngLat.lat) ?? -1;
  if (row < 0) return;
  const { probability, expected_count: count, expected_count_hi: high, id } = shown.cells;
  const rank = 1 + probability.filter((/** @type {number} */ p) => p > probability[row]).length;
  byId("cell").textContent = `Cell ${id[row]}: rank ${rank} of ${id.length}, probability ${(100 * probability[row]).toPrecision(3)} %, ` +
    `expected ${count[row].toPrecision(2)} (90 %: at most ${high[row]})`;
}

async function start() {
  maplibre.setWorkerUrl(new URL("../vendor/maplibre-gl/maplibre-gl-worker.mjs", import.meta.url).href);
  const { regions } = await getJson("/v1/regions");
  byId("region").replaceChildren(...regions.map((/** @type {any} */ r) => new Option(r.name, r.id)));
  const empty = { type: "FeatureCollection", features: [] };
  map = new maplibre.Map({
    container: "map",
    attributionControl: false,
    style: {
      version: 8,
      sources: { boundary: { type: "geojson", data: empty }, hotspots: { type: "geojson", data: empty } },
      layers: [
        { id: "background", type: "background", paint: { "background-color": "#eef1f4" } },
        { id: "boundary", type: "line", source: "boundary", paint: { "line-color": "#16202a", "line-width": 1.5 } },
        { id: "hotspots", type: "line", source: "hotspots", paint: { "line-color": "#d94801", "line-width": 2 } },
      ],
    },
  });
  map.addControl(new maplibre.NavigationControl({ showCompass: false }));
  await map.once("load");
  map.addLayer(layer, "boundary");
  map.on("mousemove", nameCell);
  map.on("click", nameCell);
  const now = new Date();
  byId("hour").value = ((now.getDay() + 6) % 7) * 24 + now.getHours();
  byId("region").addEventListener("change", showRegion);
  byId("hour").addEventListener("input", showForecast);
  byId("top").addEventListener("input", outlineCells);
  if (regions.length === 0) byId("message").textContent = "There is no region yet: POST /v1/regions, or run `hotslot demo`.";
  else await showRegion();
  document.body.dataset.ready = "true";
}

start();
