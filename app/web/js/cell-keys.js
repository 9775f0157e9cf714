/** Cells by keyboard: Enter takes the cell in the middle of the map, arrows its neighbours, Escape lets it go. */

const STEPS = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] });

/**
 * @param {HTMLElement} holder of the map
 * @param {{lattice: () => import("./lattice.js").Lattice | undefined, chosen: () => number | null, middle: () => number, take: (row: number) => void}} map
 *   `middle` is the row of the cell in the middle of the map, -1 for none
 */
export function openCellKeys(holder, map) {
  holder.addEventListener("keydown", (event) => {
    const lattice = map.lattice();
    if (!lattice || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || !(event.target instanceof HTMLCanvasElement)) return;
    const row = rowFor(event.key, lattice, map);
    if (row === undefined) return;
    // The map itself would move.
    event.preventDefault();
    event.stopPropagation();
    if (row >= 0) map.take(row);
  }, true);
}

/** The row that a key takes, -1 where there is none, undefined for a key of the map's own. @param {string} key @param {import("./lattice.js").Lattice} lattice @param {any} map */
function rowFor(key, lattice, map) {
  const id = map.chosen();
  const chosen = id === null ? -1 : (lattice.rowOfId.get(id) ?? -1);
  if (key === "Enter" && chosen < 0) return map.middle();
  if (chosen < 0) return undefined;
  // Taking it again lets it go.
  if (key === "Escape") return chosen;
  const step = STEPS[key];
  if (!step) return undefined;
  const [column, line] = [(id % lattice.nx) + step[0], Math.floor(id / lattice.nx) + step[1]];
  return column >= 0 && column < lattice.nx ? (lattice.rowOfId.get(line * lattice.nx + column) ?? -1) : -1;
}
