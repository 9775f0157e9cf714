/** The zones of a plan above the map: outlined, numbered; the same above either map, and on paper. */
import { draw } from "./charts.js";
import { make } from "./dom.js";
import { linesOf } from "./overlays.js";

const PIN_PX = 13;
/** From a zone's middle to the middle of its number. */
const STALK_PX = 36;
/** A zone this large has its number within. */
const ROOMY_PX = 44;
/** Numbers do not cover one another: straight up, then to the sides. Degrees from the top, then how much farther off. */
const ANGLES = [0, 35, -35, 70, -70, 110, -110, 145, -145, 180];
const REACHES = [1, 1.6, 2.3];
const STROKES = /** @type {[string, number][]} */ ([["#fff", 6.5], ["#16202a", 3]]);

/** @typedef {{x: number, y: number}} Point CSS pixels from the upper left corner of the map */
/** @typedef {{rank: number, rings: [number, number][][], best: [number, number]}} Zone in degrees; `best` the middle of its best cell */
/** @typedef {{rank: number, rings: Point[][], best: Point, middle: Point, pin: Point}} Drawn */

/** @param {any} reply GeoJSON @returns {Zone[]} */
export const zonesOf = (reply) => reply.features.map((/** @type {any} */ { geometry, properties }) => ({ rank: properties.rank, rings: linesOf(geometry), best: [properties.longitude, properties.latitude] }));

/** Where each number goes, the first ones straight above. @param {{rank: number, rings: Point[][], best: Point}[]} zones @returns {Drawn[]} */
export function placed(zones) {
  /** @type {Drawn[]} */ const found = [];
  for (const zone of zones) {
    const all = zone.rings.flat();
    const [xs, ys] = [all.map(({ x }) => x), all.map(({ y }) => y)];
    const middle = { x: (Math.min(...xs) + Math.max(...xs)) / 2, y: (Math.min(...ys) + Math.max(...ys)) / 2 };
    const height = Math.max(...ys) - Math.min(...ys);
    const isRoomy = Math.min(height, Math.max(...xs) - Math.min(...xs)) > ROOMY_PX;
    const reach = Math.max(STALK_PX, height / 2 + PIN_PX + 6);
    const spots = REACHES.flatMap((more) => ANGLES.map((angle) => {
      const turned = (angle * Math.PI) / 180;
      return { x: middle.x + more * reach * Math.sin(turned), y: middle.y - more * reach * Math.cos(turned) };
    }));
    const isFree = (/** @type {Point} */ { x, y }) => found.every(({ pin }) => Math.hypot(pin.x - x, pin.y - y) > 2 * PIN_PX + 3);
    found.push({ ...zone, middle: isRoomy ? zone.best : middle, pin: isRoomy ? zone.best : spots.find(isFree) ?? spots[0] });
  }
  return found;
}

/** @param {Point[][]} rings */
const pathOf = (rings) => rings.map((ring) => `M${ring.map(({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}Z`).join("");

export class ZoneOverlay {
  /** @type {Zone[]} */ #zones = [];
  #chosen = 0;
  /** @type {(place: [number, number]) => Point} */ #project = () => ({ x: 0, y: 0 });
  #lines = draw("svg", { class: "plan-lines", "aria-hidden": "true" });
  /** The list beside the map has the same for the keyboard and screen readers. */
  #pins = make("div", { class: "plan-pins", "aria-hidden": "true" });

  /** @param {(rank: number) => void} onZone a number was clicked */
  constructor(onZone) {
    this.onZone = onZone;
  }

  /** @param {HTMLElement} holder the map's @param {(place: [number, number]) => Point} project */
  open(holder, project) {
    this.#project = project;
    holder.append(this.#lines, this.#pins);
  }

  /** @param {Zone[]} zones @param {number} chosen its rank, 0 for none */
  show(zones, chosen) {
    [this.#zones, this.#chosen] = [zones, chosen];
    this.#pins.replaceChildren(...zones.map(({ rank }) => make("button", {
      type: "button", tabindex: -1, class: rank === chosen ? "pin chosen" : "pin", onclick: () => this.onZone(rank),
    }, String(rank))));
    this.draw();
  }

  #placed() {
    return placed(this.#zones.map((zone) => ({ ...zone, best: this.#project(zone.best), rings: zone.rings.map((ring) => ring.map((place) => this.#project(place))) })));
  }

  /** Draw where the map is now. */
  draw() {
    const drawn = this.#placed();
    this.#lines.replaceChildren(...drawn.flatMap(({ rank, rings, middle, pin }) => {
      const of = rank === this.#chosen ? " chosen" : "";
      const stalk = { x1: middle.x, y1: middle.y, x2: pin.x, y2: pin.y };
      const at = Object.fromEntries(Object.entries(stalk).map(([name, value]) => [name, value.toFixed(1)]));
      const d = pathOf(rings);
      return [draw("path", { class: `casing${of}`, d }), draw("path", { class: `line${of}`, d }), draw("line", { class: "casing", ...at }), draw("line", { class: `stalk${of}`, ...at })];
    }));
    drawn.forEach(({ pin }, i) => { this.#pins.children[i].style.transform = `translate(${pin.x.toFixed(1)}px, ${pin.y.toFixed(1)}px) translate(-50%, -50%)`; });
  }

  /** Draw the zones on a picture of the map. @param {HTMLCanvasElement} picture @param {number} width of the map, CSS pixels */
  paintOn(picture, width) {
    const pen = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
    pen.save();
    pen.scale(picture.width / width, picture.width / width);
    for (const { rank, rings, middle, pin } of this.#placed()) {
      const outline = new Path2D(`${pathOf(rings)}M${middle.x} ${middle.y}L${pin.x} ${pin.y}`);
      for (const [strokeStyle, lineWidth] of STROKES) {
        Object.assign(pen, { strokeStyle, lineWidth, lineJoin: "round" });
        pen.stroke(outline);
      }
      pen.beginPath();
      pen.arc(pin.x, pin.y, PIN_PX, 0, 2 * Math.PI);
      pen.fillStyle = STROKES[1][0];
      pen.fill();
      Object.assign(pen, { fillStyle: "#fff", font: "600 14px system-ui, sans-serif", textAlign: "center", textBaseline: "middle" });
      pen.fillText(String(rank), pin.x, pin.y + 0.5);
    }
    pen.restore();
  }
}
