/**
 * The region's local hours as text `YYYY-MM-DDTHH:00`, which the service reads as local time.
 *
 * Arithmetic is done as if it were UTC, so the browser's own time zone never matters.
 */
import { currentLanguage, t } from "./i18n.js";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** @param {string} local */
export const asDate = (local) => new Date(`${local.slice(0, 16)}Z`);

/** @param {Date} date */
const asLocal = (date) => `${date.toISOString().slice(0, 13)}:00`;

/** @param {string} local @param {number} hours */
export const plusHours = (local, hours) => asLocal(new Date(asDate(local).getTime() + hours * HOUR_MS));

/** Monday 00:00 of the hour's week. @param {string} local */
export function weekStart(local) {
  const day = asDate(`${local.slice(0, 10)}T00:00`);
  return asLocal(new Date(day.getTime() - ((day.getUTCDay() + 6) % 7) * DAY_MS));
}

/** Hours from one local time to another. @param {string} from @param {string} to */
export const hoursBetween = (from, to) => (asDate(to).getTime() - asDate(from).getTime()) / HOUR_MS;

/** An instant as local time of a zone. @param {string | Date} instant @param {string} zone @param {boolean} [minutes] do not drop them */
export function inZone(instant, zone, minutes = false) {
  const parts = new Intl.DateTimeFormat("sv-SE", {
    timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
  }).format(new Date(instant));
  return `${parts.slice(0, 10)}T${minutes ? parts.slice(11, 16) : `${parts.slice(11, 13)}:00`}`;
}

/** @type {Map<string, Intl.DateTimeFormat>} Making one takes longer than a hundred uses. */ const formats = new Map();

/** @param {string} local @param {Intl.DateTimeFormatOptions} options */
function format(local, options) {
  const key = currentLanguage() + JSON.stringify(options);
  const made = formats.get(key) ?? new Intl.DateTimeFormat(currentLanguage(), { timeZone: "UTC", hourCycle: "h23", ...options });
  formats.set(key, made);
  return made.format(asDate(local));
}

/** @param {string} local */
export const dayText = (local) => format(local, { day: "numeric", month: "short", year: "numeric" });

/** @param {string} local */
export const weekdayText = (local) => format(local, { weekday: "short" });

/** Day and time of day. @param {string} local */
export const momentText = (local) => `${format(local, { weekday: "short", day: "numeric", month: "short", year: "numeric" })}, ${local.slice(11, 16)}`;

/** @param {string} month `YYYY-MM` */
export const monthText = (month) => format(`${month}-01T00:00`, { month: "short", year: "numeric" });

/**
 * The hours of a reply, e.g. "Saturday, 1 January 2022, 23:00 – 00:00"; how many they are is said where the clocks change.
 * @param {{at: string, n_slots?: number}} reply @param {string} zone
 */
export const spanText = (reply, zone) => `${longDayText(reply.at)}, ${timesText(reply, zone)}`;

/** @param {string} local */
export const longDayText = (local) => format(local, { weekday: "long", day: "numeric", month: "long", year: "numeric" });

/** The times of day of a reply, e.g. "22:00 – 06:00". @param {{at: string, n_slots?: number}} reply @param {string} zone */
export function timesText({ at, n_slots: n = 1 }, zone) {
  const end = inZone(new Date(Date.parse(at) + n * HOUR_MS), zone);
  const text = `${at.slice(11, 16)} – ${end.slice(11, 16)}`;
  return hoursBetween(at, end) === n ? text : `${text} (${t("clocksChange", { n })})`;
}

/** A time zone and its distance from UTC at an instant, e.g. "America/Toronto (GMT-5)". @param {string | Date} instant @param {string} zone */
export function zoneText(instant, zone) {
  const parts = new Intl.DateTimeFormat(currentLanguage(), { timeZone: zone, timeZoneName: "shortOffset" }).formatToParts(new Date(instant));
  return `${zone.replaceAll("_", " ")} (${parts.find(({ type }) => type === "timeZoneName")?.value})`;
}

/** Short name of an hour. @param {string} local */
export const hourText = (local) => `${format(local, { weekday: "short", day: "numeric", month: "short" })} ${local.slice(11, 16)}`;
