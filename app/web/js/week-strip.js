/** The week at a glance: 7 x 24 hours, expected totals; choose one or several. */
import { SEQUENTIAL_RAMP } from "./colours.js";
import { byId, make } from "./dom.js";
import { fixed, t } from "./i18n.js";
import { dayText, hourText, hoursBetween, plusHours, weekStart, weekdayText } from "./time.js";
import { MAX_HOURS, view } from "./view.js";

/** @type {string | null} */ let dragFrom = null;
/** @type {(at: string, hours: number) => void} */ let chosen = () => {};

/** @param {(at: string, hours: number) => void} onChoose */
export function openWeekStrip(onChoose) {
  chosen = onChoose;
  const strip = byId("strip");
  strip.addEventListener("pointerdown", (/** @type {any} */ event) => {
    dragFrom = event.target.dataset?.at ?? null;
    if (dragFrom && event.pointerType === "mouse") strip.addEventListener("pointerover", drag);
  });
  addEventListener("pointerup", () => {
    dragFrom = null;
    strip.removeEventListener("pointerover", drag);
  });
  strip.addEventListener("click", (/** @type {any} */ event) => {
    const at = event.target.dataset?.at;
    if (at && event.shiftKey) span(view.at, at);
    else if (at) choose(at, 1);
  });
  strip.addEventListener("keydown", keyed);
}

function drag(/** @type {any} */ event) {
  const to = event.target.dataset?.at;
  if (!dragFrom || !to || to === dragFrom) return;
  span(dragFrom, to);
}

/** @param {string} from @param {string} to both included */
function span(from, to) {
  const first = from < to ? from : to;
  choose(first, Math.min(MAX_HOURS, Math.abs(hoursBetween(from, to)) + 1));
}

/** @param {string} at @param {number} hours */
function choose(at, hours) {
  if (at !== view.at || hours !== view.hours) chosen(at, hours);
}

const STEPS = /** @type {Record<string, number>} */ ({ ArrowLeft: -1, ArrowRight: 1, ArrowUp: -24, ArrowDown: 24, PageUp: -168, PageDown: 168 });

function keyed(/** @type {KeyboardEvent} */ event) {
  const from = /** @type {HTMLElement} */ (event.target).dataset.at;
  const step = { Home: -Number(from?.slice(11, 13)), End: 23 - Number(from?.slice(11, 13)) }[event.key] ?? STEPS[event.key];
  if (step === undefined || !from) return;
  event.preventDefault();
  const to = plusHours(from, step);
  if (event.shiftKey && to > view.at) {
    span(view.at, to);
    focusHour(to);
  } else {
    choose(to, 1);
    focusHour(to);
  }
}

/** @param {string} at */
const focusHour = (at) => byId("strip").querySelector(`[data-at="${at}"]`)?.focus();

/** @param {any} series a reply of /forecasts/series over the week of view.at */
export function drawWeekStrip(series) {
  const slots = new Map(series.slots.map((/** @type {any} */ s) => [`${s.at.slice(0, 13)}:00`, s]));
  const most = Math.max(...series.slots.map((/** @type {any} */ s) => s.expected_total), 1e-9);
  drawWeekGrid(t("week"), (at) => {
    const slot = slots.get(at);
    const shade = SEQUENTIAL_RAMP[Math.round((0.04 + 0.8 * ((slot?.expected_total ?? 0) / most)) * (SEQUENTIAL_RAMP.length - 1))];
    const label = slot
      ? t("slotLabel", { when: hourText(at), n: fixed(slot.expected_total), lo: slot.expected_total_lo, hi: slot.expected_total_hi })
      : hourText(at);
    return { label, background: `rgb(${shade.join(",")})` };
  });
  byId("strip").classList.remove("data");
  byId("strip-note").hidden = true;
}

/**
 * Draw the week of view.at as 7 x 24 buttons.
 * @param {string} label of the whole
 * @param {(at: string, hour: number) => {label: string, background: string}} cellOf of a local time, and its hour of the week
 */
export function drawWeekGrid(label, cellOf) {
  for (const name of ["aria-label", "title"]) byId("strip").setAttribute(name, label);
  const monday = weekStart(view.at);
  byId("week-text").textContent = `${dayText(monday)} – ${dayText(plusHours(monday, 6 * 24))}`;
  const held = document.activeElement?.closest("#strip") !== null;
  const head = make("div", { role: "row" }, make("span", { role: "columnheader", "aria-label": t("date") }, make("span", { class: "hidden" }, t("date"))), ...Array.from({ length: 24 }, (_, hour) =>
    make("span", { role: "columnheader", class: "head", "aria-label": `${hour}:00` }, hour % 3 === 0 ? String(hour) : make("span", { class: "hidden" }, `${hour}:00`))));
  const rows = Array.from({ length: 7 }, (_, day) => {
    const start = plusHours(monday, day * 24);
    const name = make("span", { role: "rowheader", class: "name" }, weekdayText(start));
    return make("div", { role: "row" }, name, ...Array.from({ length: 24 }, (_, hour) => slotButton(plusHours(start, hour), cellOf(plusHours(start, hour), 24 * day + hour))));
  });
  byId("strip").replaceChildren(head, ...rows);
  markWeekStrip();
  if (held) focusHour(view.at);
}

/** @param {string} at @param {{label: string, background: string}} cell */
const slotButton = (at, { label, background }) => make("button", {
  type: "button", role: "gridcell", tabindex: -1, "data-at": at, "aria-label": label, title: label,
  style: `background: ${background}`,
});

/** Mark what view says. */
export function markWeekStrip() {
  const end = plusHours(view.at, view.hours);
  for (const button of byId("strip").querySelectorAll("button")) {
    const at = button.dataset.at;
    button.setAttribute("aria-selected", String(at >= view.at && at < end));
    button.tabIndex = at === view.at ? 0 : -1;
  }
}
