/** Who looks at the page, and what they may do: a key is asked for where the service wants one. */
import { ApiError, currentKey, getJson, useKey } from "./api.js";
import { byId } from "./dom.js";
import { t } from "./i18n.js";

/** What each of the page's actions needs, as the service has it. @type {Record<string, string[]>} */
const NEEDED = {
  read: ["reader"], upload: ["ingester"], outcomes: ["analyst"], evaluate: ["analyst"], backtest: ["analyst", "trainer"],
  train: ["trainer"], report: ["analyst"], create: ["admin"], keys: ["admin"],
};

/** @type {{actor: string, name: string | null, open: boolean, roles: string[], regions: string[] | null} | null} */ let me = null;
/** How many callers there were: what one of them typed or saw is not for the next. */
let turn = 0;

export const callerTurn = () => turn;

/** Whether no key is asked for yet. */
export const isOpen = () => me?.open ?? false;

/** Whether the caller is held to no regions. */
export const isEverywhere = () => me?.regions === null;

/** The id of the caller's key. */
export const whoAmI = () => me?.actor ?? "";

/** Whether the caller may: the service decides anew at every request, this only shapes the page. @param {string} action */
export const may = (action) => me === null || NEEDED[action].some((role) => me?.roles.includes(role));

/** What is missing, in words. @param {string} action */
export const missing = (action) => t("needsRole", { role: NEEDED[action].map((role) => t(`role_${role}`)).join(` ${t("or")} `) });

/** Ask who one is. @returns {Promise<boolean>} false: a (better) key is needed */
async function identify() {
  try {
    me = await getJson("/v1/me");
    return true;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    me = null;
    return false;
  }
}

/**
 * Open the page to its caller; the key dialog stays until a key is taken.
 * @param {() => Promise<any>} onKey to load everything anew
 */
export async function openAccess(onKey) {
  const dialog = byId("key-dialog");
  byId("key").addEventListener("click", () => ask());
  byId("key-form").addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    await take(byId("key-input").value.trim(), onKey);
  });
  byId("key-forget").addEventListener("click", () => {
    useKey("");
    location.reload();
  });
  byId("key-close").addEventListener("click", () => dialog.close());
  // Without a key there is nothing to control: only the button that asks for one.
  dialog.addEventListener("close", () => {
    if (me) return;
    document.body.dataset.holds = "nothing";
    byId("when").textContent = t("keyTitle");
    byId("key").focus();
  });
  const known = await identify();
  if (!known) {
    askForKey();
  }
  drawAccess();
  return known;
}

/** Ask for a key anew: the one that was used is no longer valid. */
export function askForKey() {
  if (currentKey()) byId("key-status").textContent = t("keyRefused");
  ask();
}

function ask() {
  byId("key-forget").hidden = !currentKey();
  if (!byId("key-dialog").open) byId("key-dialog").showModal();
}

/** Go on with another key of the same person. @param {string} key */
export async function adopt(key) {
  useKey(key);
  await identify();
  drawAccess();
}

/** @param {string} key @param {() => Promise<any>} onKey */
async function take(key, onKey) {
  const before = currentKey();
  useKey(key);
  try {
    if (!(await identify())) {
      useKey(before);
      byId("key-status").textContent = t("keyRefused");
      return;
    }
    if (byId("key-stays").checked) {
      if (me?.roles.join() !== "reader") {
        useKey(before);
        await identify();
        byId("key-status").textContent = t("keyStaysNot");
        return;
      }
      useKey(key, true);
    }
  } catch (error) {
    byId("key-status").textContent = /** @type {Error} */ (error).message;
    return;
  }
  turn += 1;
  byId("key-input").value = "";
  byId("key-status").textContent = "";
  byId("key-dialog").close();
  await onKey();
}

/** The header says who one is. */
export function drawAccess() {
  byId("key").hidden = me?.open ?? false;
  const roles = me?.roles.map((role) => t(`role_${role}`)) ?? [];
  // An admin may do all that the others may.
  const named = me && (me.name ?? (me.roles.includes("admin") ? t("role_admin") : roles.join(", ")));
  byId("key").textContent = me ? t("keyOf", { roles: named ?? "" }) : t("keyEnter");
  byId("key").title = roles.join(", ");
}
