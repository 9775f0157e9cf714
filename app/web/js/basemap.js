/**
 * Streets, water and names from one PMTiles file that the service itself serves (`HOTSLOT_BASEMAP`).
 *
 * Vector archives may follow the schema of Protomaps, OpenMapTiles or Shortbread: their layers go by different names.
 */
import { addProtocol } from "../vendor/maplibre-gl/maplibre-gl.mjs";
import { EtagMismatch, PMTiles, Protocol } from "../vendor/pmtiles/pmtiles.mjs";
import { request } from "./api.js";
import { currentLanguage } from "./i18n.js";
import { isDark } from "./theme.js";

const MVT = 1;
const COLOURS = isDark
  ? { land: "#1a2129", water: "#0f151c", green: "#1b2822", building: "#242d37", road: "#465361", text: "#d3dbe3", halo: "#11161c" }
  : { land: "#f4f2ee", water: "#bfd6e4", green: "#dbe8d3", building: "#e4e0da", road: "#aab1b8", text: "#28323c", halo: "#ffffff" };
/** Cells lie above all of these but the names. */
const KIND = ["coalesce", ["get", "kind"], ["get", "class"], ""];
const GREEN = ["park", "nature_reserve", "forest", "wood", "grass", "grassland", "cemetery", "garden", "golf_course", "protected_area", "recreation_ground"];
const WIDEST = ["highway", "motorway", "trunk"];
const WIDE = ["major_road", "primary", "secondary", "tertiary"];
/** By zoom; a road's kind makes it wider. */
const roadWidth = (/** @type {number} */ times) => ["match", KIND, WIDEST, 2.2 * times, WIDE, 1.5 * times, 0.6 * times];
/** Names in the language of the page, where the archive has them. */
const NAME = ["coalesce", ["get", `name:${currentLanguage()}`], ["get", "name"]];
const TEXT = { "text-color": COLOURS.text, "text-halo-color": COLOURS.halo, "text-halo-width": 1.6 };
const FONT = ["sans-serif"];

/** Source layers by what they show: the first that the archive has is drawn. @type {{names: string[], layer: any}[]} */
const BENEATH = [
  { names: ["earth"], layer: { type: "fill", paint: { "fill-color": COLOURS.land } } },
  { names: ["landuse", "park", "land"], layer: { type: "fill", filter: ["in", KIND, ["literal", GREEN]], paint: { "fill-color": COLOURS.green } } },
  { names: ["water", "water_polygons"], layer: { type: "fill", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": COLOURS.water } } },
  { names: ["ocean"], layer: { type: "fill", paint: { "fill-color": COLOURS.water } } },
  { names: ["waterway", "water_lines"], layer: { type: "line", paint: { "line-color": COLOURS.water, "line-width": 1.2 } } },
  { names: ["buildings", "building"], layer: { type: "fill", minzoom: 14, paint: { "fill-color": COLOURS.building } } },
  { names: ["roads", "transportation", "streets"], layer: {
    type: "line", layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": COLOURS.road, "line-width": ["interpolate", ["exponential", 1.5], ["zoom"], 8, roadWidth(0.4), 13, roadWidth(1), 18, roadWidth(6)] },
  } },
];
/** @type {{names: string[], layer: any}[]} */
const ABOVE = [
  { names: ["roads", "transportation_name", "street_labels"], layer: {
    type: "symbol", minzoom: 13, filter: ["has", "name"], paint: TEXT,
    layout: { "symbol-placement": "line", "text-field": NAME, "text-font": FONT, "text-size": 11, "text-padding": 8 },
  } },
  { names: ["places", "place", "place_labels"], layer: {
    type: "symbol", filter: ["has", "name"], paint: TEXT,
    layout: { "text-field": NAME, "text-font": FONT, "text-size": ["interpolate", ["linear"], ["zoom"], 8, 11, 14, 14], "text-max-width": 8, "text-padding": 6 },
  } },
];

/** The archive, read with the key of whoever looks. */
class OwnFile {
  /** @param {string} path */
  constructor(path) {
    this.path = path;
  }

  getKey() {
    return this.path;
  }

  /** @param {number} offset @param {number} length @param {AbortSignal} [signal] @param {string} [etag] of the file that the offset is of */
  async getBytes(offset, length, signal, etag) {
    const reply = await request(this.path, { headers: { Range: `bytes=${offset}-${offset + length - 1}` }, signal });
    const found = reply.headers.get("ETag") ?? undefined;
    if (etag && found !== etag) throw new EtagMismatch("the base map has changed");
    return { data: await reply.arrayBuffer(), etag: found };
  }
}

/** @type {{path: string, archive: PMTiles} | undefined} */ let opened;

/** One archive for all maps of the page. @param {string} path */
function archiveAt(path) {
  if (!opened) {
    const protocol = new Protocol();
    addProtocol("pmtiles", protocol.tile);
    opened = { path, archive: new PMTiles(new OwnFile(path)) };
    protocol.add(opened.archive);
  }
  return opened.archive;
}

/** Draw it on a map that has the layers `cells` and `boundary`. @param {any} map @param {string} path @returns {Promise<string>} whose it is */
export async function addBasemap(map, path) {
  const archive = archiveAt(path);
  const [{ tileType }, about] = await Promise.all([archive.getHeader(), archive.getMetadata()]);
  const url = `pmtiles://${path}`;
  if (tileType !== MVT) {
    map.addSource("tiles", { type: "raster", url, tileSize: 256 });
    map.addLayer({ id: "tiles", type: "raster", source: "tiles", paint: { "raster-fade-duration": 0 } }, "cells");
  } else {
    map.addSource("tiles", { type: "vector", url });
    const known = new Set((about.vector_layers ?? []).map((/** @type {any} */ one) => one.id));
    const add = (/** @type {any[]} */ parts, /** @type {string} */ prefix, /** @type {string} */ before) => {
      for (const { names, layer } of parts) {
        const name = names.find((/** @type {string} */ one) => known.has(one));
        if (name) map.addLayer({ id: `${prefix}-${name}`, source: "tiles", "source-layer": name, ...layer }, before);
      }
    };
    map.setPaintProperty("background", "background-color", known.has("earth") ? COLOURS.water : COLOURS.land);
    add(BENEATH, "base", "cells");
    add(ABOVE, "names", "boundary");
  }
  // Attributions are links: their text is what is owed.
  return new DOMParser().parseFromString(about.attribution ?? "", "text/html").body.textContent ?? "";
}
