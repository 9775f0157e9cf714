/** When the region is trained by itself: shown to readers, set and removed by trainers. */
import { may } from "./access.js";
import { ApiError, getJson, putJson, regionPath, request } from "./api.js";
import { byId, definitions, make } from "./dom.js";
import { count, number, t } from "./i18n.js";
import { notice, showErrorIn } from "./runs.js";
import { inZone, momentText, weekdayText } from "./time.js";
import { TRAINABLE } from "./training.js";

const DEFAULT_TIME = "03:15";
const DAYS = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
const SHOWN_TICKS = 5;

/** @param {any} region @param {any} holder */
export async function fillSchedule(region, holder) {
  const status = notice("schedule-status");
  const path = regionPath(region.id, "schedule");
  const draw = (/** @type {any} */ found) => holder.replaceChildren(...shown(found), ...(may("train") ? form(path, found, status, draw) : []), status);
  draw(await current(path));
}

/** @param {string} path @returns {Promise<any>} null: there is none */
async function current(path) {
  try {
    return await getJson(path);
  } catch (error) {
    if (error instanceof ApiError && error.code === "no_schedule") return null;
    throw error;
  }
}

/** @param {any} found @returns {Node[]} */
function shown(found) {
  if (!found) return [make("p", { class: "note" }, t("noSchedule"))];
  const at = (/** @type {string} */ moment) => momentText(inZone(moment, found.timezone, true));
  const rows = /** @type {[string, string][]} */ ([[t("model"), found.model], [t("trainsWhen"), causes(found).join("; ")]]);
  if (found.next_at) rows.push([t("nextTraining"), at(found.next_at)]);
  const ticks = found.last_ticks.slice(0, SHOWN_TICKS).map((/** @type {any} */ tick) =>
    make("li", {}, `${at(tick.at)} · ${t(`cause_${tick.cause}`)} · ${t(`run_${tick.status}`)}`));
  return [make("div", { id: "schedule-now" }, definitions(rows)), ...(ticks.length ? [make("h4", {}, t("lastTicks")), make("ul", { class: "plain" }, ...ticks)] : [])];
}

/** What starts a training, in words. @param {any} found @returns {string[]} */
function causes(found) {
  const causes = [];
  if (found.cron) {
    const { kind, day, time } = readCron(found.cron);
    causes.push(kind === "cron" ? t("causeCron", { cron: found.cron }) : t(kind === "daily" ? "causeDaily" : "causeWeekly", { day: dayName(day), time }));
  }
  if (found.new_incidents) causes.push(t("causeCount", { n: count(found.new_incidents) }));
  if (found.new_share) causes.push(t("causeShare", { n: number(100 * found.new_share) }));
  if (found.on_drift) causes.push(t("causeDrift"));
  return causes;
}

/** @param {string} day */
const dayName = (day) => weekdayText(`2024-01-0${1 + DAYS.indexOf(day)}T00:00`);

/** A cron expression as the form has it. @param {string | null} cron */
function readCron(cron) {
  const found = /^(\d{1,2}) (\d{1,2}) \* \* (\*|[A-Z]{3})$/.exec(cron ?? "");
  const known = found && (found[3] === "*" || DAYS.includes(found[3]));
  const time = known ? `${found[2].padStart(2, "0")}:${found[1].padStart(2, "0")}` : DEFAULT_TIME;
  if (!cron) return { kind: "never", day: DAYS[0], time };
  if (!known) return { kind: "cron", day: DAYS[0], time };
  return found[3] === "*" ? { kind: "daily", day: DAYS[0], time } : { kind: "weekly", day: found[3], time };
}

/** @param {string} path @param {any} found @param {any} status @param {(found: any) => void} draw */
function form(path, found, status, draw) {
  const clock = clockFields(found?.cron ?? null, found !== null);
  const model = make("select", { name: "model" }, ...TRAINABLE.map((name) => make("option", { selected: name === found?.model }, name)));
  const incidents = make("input", { name: "new_incidents", type: "number", min: 1, max: 1e9, step: 1, value: found?.new_incidents ?? "" });
  const share = make("input", { name: "new_share", type: "number", min: 0.1, max: 10000, step: "any", value: found?.new_share ? 100 * found.new_share : "" });
  const drift = make("input", { name: "on_drift", type: "checkbox", checked: found?.on_drift ?? false });
  const line = (/** @type {string} */ text, /** @type {Node} */ field) => make("label", {}, make("span", {}, text), field);
  const act = async (/** @type {() => Promise<any>} */ work, /** @type {string} */ done) => {
    status.className = "status";
    try {
      draw(await work());
      byId("schedule-form").querySelector("button").focus();
      status.className = "status good";
      status.textContent = t(done);
    } catch (error) {
      showErrorIn(status, error);
    }
  };
  const remove = make("button", { type: "button", id: "remove-schedule", onclick: () => act(() => request(path, { method: "DELETE" }).then(() => null), "scheduleRemoved") }, t("remove"));
  const made = make("form", { class: "stack", id: "schedule-form" },
    line(t("model"), model), ...clock.fields.map(([text, field]) => line(text, field)),
    line(t("afterIncidents"), incidents), line(t("afterShare"), share), make("label", { class: "tick" }, drift, make("span", {}, t("afterDrift"))),
    make("div", { class: "buttons" }, make("button", { class: "primary" }, t(found ? "changeSchedule" : "setSchedule")), ...(found ? [remove] : [])));
  made.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    act(() => putJson(path, {
      model: model.value, cron: clock.cron(), on_drift: drift.checked,
      new_incidents: incidents.value ? Number(incidents.value) : null, new_share: share.value ? Number(share.value) / 100 : null,
    }), "scheduleSet");
  });
  return [made];
}

/** Fields of the clock; only those that apply are shown. @param {string | null} cron @param {boolean} known a schedule is there */
function clockFields(cron, known) {
  const given = readCron(cron);
  const kinds = ["never", "daily", "weekly", "cron"];
  const first = known ? given.kind : "weekly";
  const kind = make("select", { name: "when" }, ...kinds.map((value) => make("option", { value, selected: value === first }, t(`when_${value}`))));
  const day = make("select", { name: "day" }, ...DAYS.map((value) => make("option", { value, selected: value === given.day }, dayName(value))));
  const time = make("input", { name: "time", type: "time", required: true, value: given.time });
  const own = make("input", { name: "cron", required: true, value: cron ?? "", placeholder: "15 3 * * MON", autocomplete: "off", title: t("cronRule") });
  const mark = () => {
    const applies = /** @type {[any, string[]][]} */ ([[day, ["weekly"]], [time, ["daily", "weekly"]], [own, ["cron"]]]);
    for (const [field, wanted] of applies) {
      field.disabled = !wanted.includes(kind.value);
      if (field.parentElement) field.parentElement.hidden = field.disabled;
    }
  };
  kind.addEventListener("change", mark);
  queueMicrotask(mark);
  const written = () => {
    const [hour, minute] = time.value.split(":").map(Number);
    const values = /** @type {Record<string, string | null>} */ ({ never: null, daily: `${minute} ${hour} * * *`, weekly: `${minute} ${hour} * * ${day.value}`, cron: own.value });
    return values[kind.value];
  };
  const fields = /** @type {[string, any][]} */ ([[t("byClock"), kind], [t("weekday"), day], [t("timeOfDay"), time], [t("cronField"), own]]);
  return { fields, cron: written };
}
