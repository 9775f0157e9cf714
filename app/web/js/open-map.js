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

/** @param {{open: () => Promise<void>}} map */
async function opened(map) {
  await map.open();
  return map;
}
