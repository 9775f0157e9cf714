/** Requests to hotslot; problems (RFC 9457) become errors with their detail as message. */

/** Path under which a proxy offers the service, such as "/hotslot"; or "". */
const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
/** A key is for one service, and a host may have several, under different paths. */
const KEY_AT = `hotslot-key${ROOT}`;
const KEY_HEADER = "X-API-Key";

export class ApiError extends Error {
  /** @param {{status: number, detail: string, code: string, field?: string, params?: Record<string, any>}} problem */
  constructor(problem) {
    super(problem.detail);
    this.status = problem.status;
    this.code = problem.code;
    this.field = problem.field ?? "";
    this.params = problem.params ?? {};
  }
}

/** The key this tab sends: its own, which is gone when the tab is closed, else the one that stays on this screen. */
export const currentKey = () => sessionStorage.getItem(KEY_AT) ?? localStorage.getItem(KEY_AT) ?? "";

/** @param {string} key "" forgets it @param {boolean} [stays] also for later, on this screen */
export function useKey(key, stays = false) {
  sessionStorage.removeItem(KEY_AT);
  if (!key) localStorage.removeItem(KEY_AT);
  else (stays ? localStorage : sessionStorage).setItem(KEY_AT, key);
}

/** @param {Record<string, string>} [more] @returns {Record<string, string>} */
function headers(more = {}) {
  const key = currentKey();
  return key ? { ...more, [KEY_HEADER]: key } : more;
}

/** @param {number} status @param {string} statusText @param {string} text @param {string} type */
function problemOf(status, statusText, text, type) {
  if (type.includes("problem+json")) return new ApiError(JSON.parse(text));
  return new ApiError({ status, detail: `${status} ${statusText}`, code: "error" });
}

/**
 * @param {string} path
 * @param {{method?: string, body?: BodyInit, headers?: Record<string, string>, cache?: RequestCache, signal?: AbortSignal}} [options]
 * @returns {Promise<Response>}
 */
export async function request(path, options = {}) {
  const reply = await fetch(urlOf(path), { ...options, headers: headers(options.headers) });
  if (reply.ok) return reply;
  throw problemOf(reply.status, reply.statusText, await reply.text(), reply.headers.get("content-type") ?? "");
}

/** @param {string} path @param {{cache?: RequestCache}} [options] */
export const getJson = async (path, options) => (await request(path, options)).json();

/** @param {string} path @param {string} method @param {unknown} body */
async function sendJson(path, method, body) {
  const type = { "Content-Type": "application/json" };
  return (await request(path, { method, headers: type, body: JSON.stringify(body) })).json();
}

/** @param {string} path @param {unknown} body */
export const postJson = (path, body) => sendJson(path, "POST", body);

/** @param {string} path @param {unknown} body */
export const putJson = (path, body) => sendJson(path, "PUT", body);

/**
 * @param {string} region
 * @param {string} kind density, hotspots, ...
 * @param {Record<string, string | number | boolean | undefined | null>} parameters
 */
export function forecastPath(region, kind, parameters) {
  const given = Object.entries(parameters).filter(([, v]) => v !== undefined && v !== null && v !== "");
  const query = new URLSearchParams(given.map(([k, v]) => [k, String(v)]));
  return regionPath(region, `forecasts/${kind}?${query}`);
}

/** The address of a path of the service. @param {string} path */
export const urlOf = (path) => ROOT + path;

/** @param {string} region @param {string} rest */
export const regionPath = (region, rest) => `/v1/regions/${encodeURIComponent(region)}/${rest}`;

/** Save a reply as a file: a plain link could not send the key. @param {string} path @param {string} name @param {unknown} [body] sent as JSON, if there is one */
export async function save(path, name, body) {
  const sent = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const url = URL.createObjectURL(await (await request(path, sent)).blob());
  const link = document.createElement("a");
  Object.assign(link, { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/**
 * Send a file and report progress.
 *
 * fetch() does not report upload progress, so this is an XMLHttpRequest.
 * @param {string} path @param {File} file @param {Record<string, string>} about its headers
 * @param {(share: number) => void} onProgress 0 to 1
 * @returns {Promise<any>}
 */
export function sendFile(path, file, about, onProgress) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", urlOf(path));
    for (const [name, value] of Object.entries(headers(about))) sending.setRequestHeader(name, value);
    sending.upload.addEventListener("progress", (event) => onProgress(event.loaded / Math.max(event.total, 1)));
    sending.addEventListener("error", () => reject(new TypeError("network")));
    sending.addEventListener("load", () => {
      const { status, statusText, responseText } = sending;
      if (status < 300) resolve(JSON.parse(responseText));
      else reject(problemOf(status, statusText, responseText, sending.getResponseHeader("content-type") ?? ""));
    });
    sending.send(file);
  });
}

/**
 * Server-sent events of a path, until it ends. (EventSource could not send the key.)
 * @param {string} path @param {(data: any) => void} onData
 */
export async function events(path, onData) {
  const reply = await request(path, { headers: { Accept: "text/event-stream" } });
  const reader = /** @type {ReadableStream<Uint8Array>} */ (reply.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    const parts = rest.split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (data.length) onData(JSON.parse(data.join("\n")));
    }
  }
}
