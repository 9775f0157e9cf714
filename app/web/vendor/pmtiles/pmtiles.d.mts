/** What the page uses of PMTiles, for the type check alone. */
export interface Source {
  getKey(): string;
  getBytes(offset: number, length: number, signal?: AbortSignal, etag?: string): Promise<{ data: ArrayBuffer, etag?: string }>;
}
export class PMTiles {
  constructor(source: Source);
  getHeader(): Promise<{ tileType: number }>;
  getMetadata(): Promise<any>;
}
export class Protocol {
  add(archive: PMTiles): void;
  tile: (request: any, abort: AbortController) => Promise<any>;
}
export class EtagMismatch extends Error {}
