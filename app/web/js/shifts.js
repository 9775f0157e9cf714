/** The shifts of a region, in whole local hours. */
import { t } from "./i18n.js";
import { hoursBetween, plusHours } from "./time.js";

/** What a service says that stores none. */
const USUAL = { early: { start: "06:00", end: "14:00" }, late: { start: "14:00", end: "22:00" }, night: { start: "22:00", end: "06:00" } };
/** A plan is made for a shift that runs or is about to. */
const AHEAD_H = 2;

/** @typedef {{name: string, start: string, end: string}} Shift */

/** @param {any} region @returns {Shift[]} */
export function shiftsOf(region) {
  const stored = Object.entries(region?.shifts ?? {});
  return (stored.length ? stored : Object.entries(USUAL)).map(([name, times]) => ({ name, .../** @type {any} */ (times) }));
}

/** The hours of a shift that begins on a day; a begun hour counts. @param {Shift} shift @param {string} date */
export function spanOf({ start, end }, date) {
  const at = `${date}T${start.slice(0, 2)}:00`;
  const until = plusHours(`${date}T${end.slice(0, 2)}:00`, end.slice(3) === "00" ? 0 : 1);
  const hours = hoursBetween(at, until);
  return { at, hours: hours > 0 ? hours : hours + 24 };
}

/** The shift that has just these hours. @param {any} region @param {{at: string, hours: number}} span */
export const shiftOf = (region, { at, hours }) => shiftsOf(region).find((shift) => {
  const span = spanOf(shift, at.slice(0, 10));
  return span.at === at && span.hours === hours;
});

/** The shift of a local time, else the next one. @param {any} region @param {string} local */
export function shiftAt(region, local) {
  const days = [-24, 0, 24].map((hours) => plusHours(local, hours).slice(0, 10));
  const spans = days.flatMap((date) => shiftsOf(region).map((shift) => spanOf(shift, date)));
  spans.sort((a, b) => (a.at < b.at ? -1 : 1));
  return spans.find(({ at, hours }) => plusHours(at, hours) > local) ?? spans[0];
}

/** Which shift to plan first: the one after the data end where they are old. @param {any} region @param {string} local @param {boolean} isOld */
export const firstShift = (region, local, isOld) => shiftAt(region, plusHours(local, isOld ? 0 : AHEAD_H));

/** @param {string} name */
export const shiftName = (name) => (name in USUAL ? t(`shift_${name}`) : name);

/** Name and hours for a choice, e.g. "Night, 22–06". @param {Shift} shift */
export function shiftChoice({ name, start, end }) {
  const short = (/** @type {string} */ time) => time.replace(/:00$/, "");
  return t("shiftTimes", { name: name in USUAL ? t(`shift_${name}_short`) : name, from: short(start), to: short(end) });
}
