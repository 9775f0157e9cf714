/** Keys: who may use the service, made, renewed and ended by admins. */
import { adopt, isOpen, whoAmI } from "./access.js";
import { currentKey, getJson, postJson, request } from "./api.js";
import { make } from "./dom.js";
import { t } from "./i18n.js";
import { notice, showErrorIn } from "./runs.js";
import { dayText, inZone } from "./time.js";

const ROLES = ["reader", "analyst", "ingester", "trainer", "admin"];
const EXPIRY_DAYS = [7, 30, 90, 365];
const DEFAULT_EXPIRY_DAYS = 365;
const DEFAULT_GRACE_HOURS = 24;
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** @param {any} holder @param {any[]} regions that there are */
export async function fillKeys(holder, regions) {
  const list = make("div", { id: "key-list" });
  const once = make("div", { id: "key-once", role: "status" });
  const status = notice("keys-status");
  const first = make("p", { class: "notice", hidden: !isOpen() }, t("firstKey"));
  const act = async (/** @type {() => Promise<any>} */ work) => {
    status.className = "status";
    status.textContent = "";
    try {
      const made = await work();
      // Where this page's own key has changed, the old one may be refused from now on.
      if (made.key && (isOpen() || made.id === whoAmI())) await adopt(made.key);
      first.hidden = !isOpen();
      once.replaceChildren(...(made.key ? shownOnce(made, once) : []));
      once.querySelector("input")?.focus();
      list.replaceChildren(...(await listed(act)));
      return true;
    } catch (error) {
      showErrorIn(status, error);
      return false;
    }
  };
  list.replaceChildren(...(await listed(act)));
  holder.replaceChildren(first, list, once, newKey(regions, act), status);
}

/** @param {(work: () => Promise<any>) => Promise<boolean>} act */
async function listed(act) {
  const { keys } = await getJson("/v1/keys");
  const line = (/** @type {any} */ key) => make("li", { "data-key": key.id }, about(key), actions(key, act));
  const list = (/** @type {any[]} */ some) => make("ul", { class: "models keys" }, ...some.map(line));
  const [active, ended] = [keys.filter((/** @type {any} */ k) => k.active), keys.filter((/** @type {any} */ k) => !k.active)];
  return [
    active.length ? list(active) : make("p", { class: "note" }, t("noKeys")),
    ...(ended.length ? [make("details", {}, make("summary", {}, t("endedKeys", { n: ended.length })), list(ended))] : []),
  ];
}

/** @param {any} key */
function about(key) {
  const day = (/** @type {string} */ at) => dayText(inZone(at, ZONE));
  const until = key.revoked_at ? t("revokedOn", { date: day(key.revoked_at) })
    : key.expires_at ? t(key.active ? "validUntil" : "expiredOn", { date: day(key.expires_at) }) : t("neverExpires");
  const roles = key.roles.map((/** @type {string} */ role) => t(`role_${role}`)).join(", ");
  return make("span", { class: "name" }, make("strong", {}, key.name), ...(key.id === whoAmI() ? [" ", make("span", { class: "badge" }, t("thisKey"))] : []),
    make("span", { class: "note block" }, `${roles} · ${key.regions ? key.regions.join(", ") : t("allRegions")}`), make("span", { class: "note block" }, `${until} · ${key.id}`));
}

/** Buttons of a key; each asks once more before it acts. @param {any} key @param {(work: () => Promise<any>) => Promise<boolean>} act */
function actions(key, act) {
  const path = `/v1/keys/${encodeURIComponent(key.id)}`;
  const holder = make("div", { class: "buttons" });
  const button = (/** @type {string} */ word, /** @type {() => void} */ onclick) =>
    make("button", { type: "button", onclick, "aria-label": `${t(word)}: ${key.name}` }, t(word));
  const plain = () => holder.replaceChildren(...(key.revoked_at ? [] : [rotate, revoke]));
  const ask = (/** @type {string} */ word, /** @type {(Node | string)[]} */ text, /** @type {() => Promise<any>} */ work, /** @type {any} */ from) => {
    const back = () => {
      plain();
      from.focus();
    };
    const sure = button(word, () => act(work));
    sure.classList.add("primary");
    const asked = make("div", { class: "asked" }, make("p", { class: "note" }, ...text), make("div", { class: "buttons" }, sure, button("no", back)));
    asked.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && back());
    holder.replaceChildren(asked);
    (asked.querySelector("input") ?? sure).focus();
  };
  const grace = make("input", { type: "number", min: 0, max: 87600, step: "any", value: DEFAULT_GRACE_HOURS, "aria-label": t("graceHours") });
  const rotate = button("rotate", () => ask("rotate", [t("rotateText"), " ", make("label", {}, t("graceHours"), " ", grace)],
    () => postJson(`${path}/rotate`, { grace_hours: Number(grace.value) }), rotate));
  const revoke = button("revoke", () => ask("revoke", [t(key.id === whoAmI() ? "revokeOwn" : "revokeText")],
    async () => (await request(path, { method: "DELETE" })).json(), revoke));
  plain();
  return holder;
}

/** A key's text, which is shown only once. @param {any} made @param {any} holder */
function shownOnce(made, holder) {
  const box = make("input", { id: "key-text", readonly: true, value: made.key, "aria-label": t("keyLabel") });
  const note = make("span", { class: "note", role: "status" });
  const copy = make("button", { type: "button", id: "copy-key", class: "primary", onclick: async () => {
    box.select();
    // The clipboard needs a secure context; elsewhere the key stays selected for copying by hand.
    if (navigator.clipboard) await navigator.clipboard.writeText(box.value).then(() => { note.textContent = t("keyCopied"); }, () => {});
  } }, t("copyKey"));
  const done = make("button", { type: "button", onclick: () => holder.replaceChildren() }, t("keyDone"));
  const using = made.key === currentKey() ? [make("p", { class: "note" }, t("keyInUse"))] : [];
  return [make("div", { class: "notice" }, make("strong", {}, t("keyOnce", { name: made.name })), box, make("div", { class: "buttons" }, copy, done, note), ...using)];
}

/** @param {any[]} regions @param {(work: () => Promise<any>) => Promise<boolean>} act */
function newKey(regions, act) {
  const name = make("input", { name: "key-name", required: true, maxlength: 200, autocomplete: "off" });
  const tick = (/** @type {string} */ group, /** @type {string} */ value, /** @type {string} */ text, checked = false) =>
    make("label", { class: "tick" }, make("input", { type: "checkbox", name: group, value, checked }), make("span", {}, text));
  const first = isOpen() ? "admin" : "reader";
  const roles = make("fieldset", {}, make("legend", {}, t("roles")), ...ROLES.map((role) => tick("role", role, `${t(`role_${role}`)}: ${t(`may_${role}`)}`, role === first)));
  const scope = make("select", { name: "scope" }, make("option", { value: "all" }, t("allRegions")), make("option", { value: "some" }, t("someRegions")));
  const some = make("fieldset", { hidden: true, class: "regions" }, make("legend", {}, t("someRegions")), ...regions.map(({ id, name: text }) => tick("key-region", id, text)));
  scope.addEventListener("change", () => { some.hidden = scope.value === "all"; });
  const expiry = make("select", { name: "expiry" }, ...EXPIRY_DAYS.map((n) => make("option", { value: n, selected: n === DEFAULT_EXPIRY_DAYS }, t("days", { n }))), make("option", { value: "" }, t("never")));
  const line = (/** @type {string} */ text, /** @type {Node} */ field) => make("label", {}, make("span", {}, text), field);
  const ticked = (/** @type {any} */ group) => [...group.querySelectorAll(":checked")].map((/** @type {any} */ box) => box.value);
  const lacking = make("div", { class: "status bad", role: "status" });
  const form = make("form", { class: "stack", id: "new-key" },
    line(t("keyName"), name), roles, line(t("region"), scope), some, line(t("expires"), expiry), lacking, make("div", { class: "buttons" }, make("button", { class: "primary" }, t("makeKey"))));
  form.addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    const chosen = ticked(some);
    lacking.textContent = !ticked(roles).length ? t("chooseRole") : scope.value === "some" && !chosen.length ? t("chooseRegion") : "";
    if (lacking.textContent) return;
    const wanted = { name: name.value, roles: ticked(roles), regions: scope.value === "some" ? chosen : null, expires_days: expiry.value ? Number(expiry.value) : null };
    if (await act(() => postJson("/v1/keys", wanted))) {
      form.reset();
      // The first key's role is not the next one's.
      for (const box of roles.querySelectorAll("input")) box.checked = box.value === "reader";
    }
    some.hidden = scope.value === "all";
  });
  return make("details", { class: "inner", open: isOpen() }, make("summary", {}, t("newKey")), form);
}
