/** Requests to hotslot; problems (RFC 9457) become errors with their detail as message. */

export class ApiError extends Error {
  /** @param {{status: number, detail: string, code: string}} problem */
  constructor(problem) {
    super(problem.detail);
    this.status = problem.status;
    this.code = problem.code;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function request(path, options) {
  const reply = await fetch(path, options);
  if (reply.ok) return reply;
  const text = await reply.text();
  let problem = { status: reply.status, detail: `${reply.status} ${reply.statusText}`, code: "error" };
  if ((reply.headers.get("content-type") ?? "").includes("problem+json")) problem = JSON.parse(text);
  throw new ApiError(problem);
}

/** @param {string} path */
export const getJson = async (path) => (await request(path)).json();

/**
 * @param {string} region
 * @param {string} kind density, hotspots, ...
 * @param {Record<string, string | number | undefined | null>} parameters
 */
export function forecastPath(region, kind, parameters) {
  const given = Object.entries(parameters).filter(([, v]) => v !== undefined && v !== null && v !== "");
  const query = new URLSearchParams(given.map(([k, v]) => [k, String(v)]));
  return `/v1/regions/${encodeURIComponent(region)}/forecasts/${kind}?${query}`;
}

/**
 * Send a file, told how far it is.
 *
 * fetch() cannot tell upload progress, so this is an XMLHttpRequest.
 * @param {string} path @param {File} file @param {string} type
 * @param {(share: number) => void} onProgress 0 to 1
 * @returns {Promise<any>}
 */
export function sendFile(path, file, type, onProgress) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", path);
    sending.setRequestHeader("Content-Type", type);
    sending.upload.addEventListener("progress", (event) => onProgress(event.loaded / Math.max(event.total, 1)));
    sending.addEventListener("error", () => reject(new TypeError("network")));
    sending.addEventListener("load", () => {
      const told = sending.responseText.startsWith("{") ? JSON.parse(sending.responseText) : {};
      if (sending.status < 300) resolve(told);
      else reject(new ApiError({ status: sending.status, detail: told.detail ?? sending.statusText, code: told.code ?? "error" }));
    });
    sending.send(file);
  });
}

/** @param {string} path @param {unknown} body */
export async function postJson(path, body) {
  const headers = { "Content-Type": "application/json" };
  return (await request(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}
