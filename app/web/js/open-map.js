/** Which map there is: the one that zooms, or a plain picture without WebGL or without the library. */

/**
 * @param {(row: number) => void} onPoint a cell is pointed at or tapped; -1 for none
 * @param {(row: number) => void} onChoose @param {(place: string) => void} onMove
 * @returns {Promise<any>}
 */
export async function mapOf(onPoint, onChoose, onMove) {
  try {
    const { ForecastMap } = await import("./map.js");
    return await opened(new ForecastMap(onPoint, onChoose, onMove));
  } catch (error) {
    // The plain map says so; the console has the reason.
    console.warn(`the map does not zoom: ${error}`);
    const { PlainMap } = await import("./plain-map.js");
    return opened(new PlainMap(onPoint, onChoose));
  }
}

/** @type {any} */ let map;
/** @type {Promise<void> | undefined} */ let start;

/** The map, once it is open. */
export const openMap = () => map;

/**
 * Open the map, the first time that it is wanted. Its library is the largest part of the page: it starts while the
 * forecast is on its way.
 * @param {() => Promise<any>} make @param {() => void} onOpen @param {(error: any) => void} onError
 */
export function wantMap(make, onOpen, onError) {
  if (!start) {
    start = make().then((made) => { map = made; onOpen(); });
    start.catch(onError);
  }
  return start;
}

/** @param {{open: () => Promise<void>}} map */
async function opened(map) {
  await map.open();
  return map;
}
