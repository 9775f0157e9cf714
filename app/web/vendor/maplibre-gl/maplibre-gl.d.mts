/** What the page uses of MapLibre GL, for the type check alone. */
interface Anything { [name: string]: any }
export interface Map extends Anything {}
export class Map { constructor(options: object); }
export interface LngLatBounds extends Anything {}
export class LngLatBounds { constructor(); }
export class NavigationControl { constructor(options: object); }
export class ScaleControl { constructor(options: object); }
export class MercatorCoordinate {
  static fromLngLat(place: number[]): MercatorCoordinate;
  x: number;
  y: number;
}
export function setWorkerUrl(url: string): void;
export function addProtocol(name: string, load: (request: any, abort: AbortController) => Promise<any>): void;
