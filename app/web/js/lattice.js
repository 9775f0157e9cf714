/** So many cells, spread over the city, are enough for the fit. */
const FITTED = 1000;

/** A longitude within half a turn of another: towns on the 180th meridian stay whole. @param {number} longitude @param {number} near */
export const beside = (longitude, near) => longitude + 360 * Math.round((near - longitude) / 360);

/**
 * Where a projected grid's cells lie on the globe.
 *
 * The page has no projections. The reply gives the middles of the cells in degrees; a quadratic in
 * (column, row), fitted to them, gives every corner to well under a metre at the size of a city.
 */
export class Lattice {
  /**
   * @param {{nx: number, ny: number}} grid
   * @param {{id: number[], longitude: number[], latitude: number[]}} cells
   */
  constructor(grid, cells) {
    this.nx = grid.nx;
    this.ny = grid.ny;
    this.ids = cells.id;
    this.rowOfId = new Map(cells.id.map((id, row) => [id, row]));
    const step = Math.ceil(cells.id.length / FITTED);
    const some = (/** @type {number[]} */ values) => values.filter((_, row) => row % step === 0);
    const basis = some(cells.id).map((id) => this.#basis((id % this.nx) + 0.5, Math.floor(id / this.nx) + 0.5));
    this.lonTerms = leastSquares(basis, some(cells.longitude.map((x) => beside(x, cells.longitude[0]))));
    this.latTerms = leastSquares(basis, some(cells.latitude));
  }

  /** Whether a reply is on this very grid. @param {any} shown */
  fits({ grid, cells }) {
    const { ids } = this;
    return grid.nx === this.nx && grid.ny === this.ny && cells.id.length === ids.length && cells.id[0] === ids[0] && cells.id.at(-1) === ids.at(-1);
  }

  /** @param {number} column @param {number} row */
  #basis(column, row) {
    const u = column / this.nx - 0.5;
    const v = row / this.ny - 0.5;
    return [1, u, v, u * u, u * v, v * v];
  }

  /**
   * Longitude and latitude of a place given in columns and rows from the lower-left corner.
   * @param {number} column @param {number} row @returns {[number, number]}
   */
  degrees(column, row) {
    const basis = this.#basis(column, row);
    return [dot(this.lonTerms, basis), dot(this.latTerms, basis)];
  }

  /** Row of the cell at a place, or -1. @param {number} lon @param {number} lat */
  rowAt(lon, lat) {
    lon = beside(lon, this.lonTerms[0]);
    let column = this.nx / 2;
    let row = this.ny / 2;
    for (let step = 0; step < 8; step++) {
      const [x, y] = this.degrees(column, row);
      const [xe, ye] = this.degrees(column + 1, row);
      const [xn, yn] = this.degrees(column, row + 1);
      const [a, b, c, d] = [xe - x, xn - x, ye - y, yn - y];
      const det = a * d - b * c;
      column += (d * (lon - x) - b * (lat - y)) / det;
      row += (a * (lat - y) - c * (lon - x)) / det;
    }
    if (!(column >= 0 && column < this.nx && row >= 0 && row < this.ny)) return -1;
    return this.rowOfId.get(Math.floor(row) * this.nx + Math.floor(column)) ?? -1;
  }

  /** The four corners of a cell, closed ring. @param {number} id */
  ring(id) {
    const ix = id % this.nx;
    const iy = Math.floor(id / this.nx);
    return [[ix, iy], [ix + 1, iy], [ix + 1, iy + 1], [ix, iy + 1], [ix, iy]].map(([x, y]) => this.degrees(x, y));
  }

  /**
   * Edges between flagged cells and the rest: the outline of a set of cells.
   * @param {Iterable<number>} ids
   */
  outline(ids) {
    const inside = new Set(ids);
    const lines = [];
    for (const id of inside) {
      const ix = id % this.nx;
      const iy = Math.floor(id / this.nx);
      const sides = [
        [ix > 0 && inside.has(id - 1), [ix, iy], [ix, iy + 1]],
        [ix < this.nx - 1 && inside.has(id + 1), [ix + 1, iy], [ix + 1, iy + 1]],
        [inside.has(id - this.nx), [ix, iy], [ix + 1, iy]],
        [inside.has(id + this.nx), [ix, iy + 1], [ix + 1, iy + 1]],
      ];
      for (const [shared, [ax, ay], [bx, by]] of /** @type {any[]} */ (sides)) {
        if (!shared) lines.push([this.degrees(ax, ay), this.degrees(bx, by)]);
      }
    }
    return { type: "MultiLineString", coordinates: lines };
  }
}

/** @param {number[]} a @param {number[]} b */
const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/**
 * Normal equations by elimination; fewer points than terms leave the high terms at zero.
 * @param {number[][]} basis @param {number[]} target
 */
function leastSquares(basis, target) {
  const n = 6;
  const rows = Array.from({ length: n }, (_, i) => {
    const row = Array.from({ length: n + 1 }, () => 0);
    row[i] = 1e-12;
    return row;
  });
  basis.forEach((terms, k) => {
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) rows[i][j] += terms[i] * terms[j];
      rows[i][n] += terms[i] * target[k];
    }
  });
  for (let i = 0; i < n; i++) {
    let best = i;
    for (let k = i + 1; k < n; k++) if (Math.abs(rows[k][i]) > Math.abs(rows[best][i])) best = k;
    [rows[i], rows[best]] = [rows[best], rows[i]];
    for (let k = 0; k < n; k++) {
      if (k === i) continue;
      const factor = rows[k][i] / rows[i][i];
      for (let j = i; j <= n; j++) rows[k][j] -= factor * rows[i][j];
    }
  }
  return rows.map((row, i) => row[n] / row[i]);
}
