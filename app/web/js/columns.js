/** How a file's columns are read: by names that are known, by a stored mapping, or as a person says. */
import { getJson, putJson, regionPath } from "./api.js";
import { make } from "./dom.js";
import { t } from "./i18n.js";
import { CHOICES } from "./questions.js";
import { notice, showErrorIn } from "./runs.js";

/** The time of day in a column of its own, by the time; it is sent as `occurred_at=A+B`. */
const CLOCKS = { occurred_at: "clock", occurred_from: "from_clock", occurred_to: "to_clock" };
const FIELDS = [...Object.entries(CLOCKS).flat(), "longitude", "latitude", "location", "lonlat", "category", "count", "external_id", "reference"];
/** Typed for a column that the file is said not to have. */
const NONE = "-";
/** No stored mapping has such a name. */
const OWN = "own:";
const HEADER_BYTES = 65_536;
const SEPARATORS = [",", ";", "\t", "|"];
const EXAMPLES = /** @type {Record<string, string>} */ ({ crs: "EPSG:26910", time_format: "%m/%d/%Y %H:%M", zone: "UTC, local, Asia/Baku", encoding: "windows-1252" });

/**
 * @typedef {{query: string, file: File | null, header: string[], field: string, ask: (() => void) | null, send: (file: File) => void}} Columns
 *   query: what the next upload is sent with; file: one that is not stored yet, header: its columns as the service names them;
 *   field: what is asked for ("" for nothing); ask: asks for it
 * @typedef {{columns: Record<string, string>} & Partial<Record<typeof CHOICES[number], string | number | null>>} Mapping
 */

/** @param {any} region @param {any} holder @param {Columns} columns */
export async function fillColumns(region, holder, columns) {
  const path = regionPath(region.id, "mappings");
  const form = new ColumnsForm(columns, (name, mapping) => putJson(`${path}/${encodeURIComponent(name)}`, mapping));
  form.setStored((await getJson(path)).mappings);
  holder.replaceChildren(form.element);
  columns.ask = () => form.ask();
  await form.ask();
}

class ColumnsForm {
  /** @param {Columns} columns @param {(name: string, mapping: Mapping) => Promise<any>} put */
  constructor(columns, put) {
    this.columns = columns;
    this.put = put;
    /** @type {Record<string, Mapping>} */ this.stored = {};
    /** @type {Map<string, any>} */ this.inputs = new Map();
    this.choices = new Map(CHOICES.map((name) => [name, choiceInput(name)]));
    this.pick = make("select", { id: "mapping", onchange: () => this.chosen() });
    this.header = make("datalist", { id: "header-columns" });
    this.found = make("p", { class: "note" });
    this.fields = make("div", { class: "stack" });
    this.again = make("button", { class: "primary", id: "send-again", hidden: true });
    this.name = make("input", { name: "mapping-name", pattern: "[a-z0-9_\\-]{1,63}", autocomplete: "off", title: t("regionIdRule"), placeholder: t("regionIdRule") });
    this.status = notice("columns-status");
    const save = make("button", { type: "button", id: "save-mapping", onclick: () => this.save() }, t("saveMapping"));
    this.own = make("div", { class: "stack", hidden: true }, this.found, this.fields);
    this.saving = make("div", { class: "stack", hidden: true }, labelled("saveAs", this.name), make("div", { class: "buttons" }, save));
    this.further = make("details", { class: "inner", id: "choices" }, make("summary", {}, t("choicesTitle")),
      make("div", { class: "stack" }, ...[...this.choices].map(([name, input]) => labelled(`col_${name}`, input))));
    this.element = make("form", { class: "stack", id: "columns-form" }, labelled("readBy", this.pick), this.header, this.own, this.further,
      make("div", { class: "buttons" }, this.again), this.saving, this.status);
    this.element.addEventListener("input", () => this.remember());
    this.element.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      if (this.columns.file) this.columns.send(this.columns.file);
    });
  }

  /** @param {Record<string, Mapping>} stored */
  setStored(stored, chosen = this.pick.value) {
    this.stored = stored;
    const option = (/** @type {string} */ value, /** @type {string} */ text) => make("option", { value }, text);
    this.pick.replaceChildren(option("", t("columnsKnown")), ...Object.keys(stored).map((name) => option(name, name)), option(OWN, t("columnsOwn")));
    this.pick.value = chosen;
  }

  chosen() {
    const mapping = this.stored[this.pick.value] ?? { columns: {} };
    const times = Object.entries(CLOCKS).flatMap(([name, clock]) => {
      const [date, beside] = (mapping.columns[name] ?? "").split("+");
      return [[name, date], [clock, beside ?? ""]];
    });
    const absent = Object.entries(mapping.columns).filter(([, column]) => !column).map(([name]) => [name, NONE]);
    const values = /** @type {Record<string, string>} */ ({ ...mapping.columns, ...Object.fromEntries(times), ...Object.fromEntries(absent) });
    const rest = Object.keys(mapping.columns).filter((name) => !FIELDS.includes(name));
    this.inputs = new Map([...FIELDS, ...rest].map((name) => [name, make("input", { name, list: "header-columns", autocomplete: "off", value: values[name] ?? "", placeholder: name === "external_id" ? t("columnNone") : null })]));
    // What was typed for the file at hand goes on to hold for columns named here.
    if (this.pick.value !== OWN) for (const [name, input] of this.choices) input.value = mapping[name] ?? "";
    this.fields.replaceChildren(...[...this.inputs].map(([name, input]) => labelled(rest.includes(name) ? name : `col_${name}`, input)));
    this.own.hidden = this.saving.hidden = this.pick.value === "";
    this.name.value = this.pick.value === OWN ? "" : this.pick.value;
    this.remember();
  }

  /** @returns {Mapping} */
  mapping() {
    const columns = typed(this.inputs);
    for (const [name, clock] of Object.entries(CLOCKS)) {
      if (columns[name] && columns[clock]) columns[name] = `${columns[name]}+${columns[clock]}`;
      delete columns[clock];
    }
    for (const [name, column] of Object.entries(columns)) if (column === NONE) columns[name] = "";
    const choices = typed(this.choices);
    return { columns, ...choices, ...(choices.header_row ? { header_row: Number(choices.header_row) } : {}) };
  }

  /** What the next upload is sent with. */
  remember() {
    const { columns, ...choices } = this.mapping();
    const named = this.pick.value === "" ? [] : Object.entries(columns).map(([field, column]) => ["columns", `${field}=${column}`]);
    this.columns.query = new URLSearchParams([...named, ...Object.entries(choices).map(([name, value]) => [name, String(value)])]).toString();
  }

  /** For what the file at hand is refused without, if there is one. */
  async ask() {
    const { file, header, field } = this.columns;
    this.again.hidden = !file;
    if (!file) return;
    this.again.textContent = t("sendAgain", { name: file.name });
    const names = await headerOf(file, header);
    this.header.replaceChildren(...names.map((value) => make("option", { value })));
    this.found.textContent = names.length ? t("columnsFound", { names: names.join(", ") }) : "";
    if (!field) return;
    const choice = this.choices.get(/** @type {any} */ (field));
    if (choice) {
      this.further.open = true;
      choice.focus();
    } else if (this.pick.value === "") {
      this.pick.value = OWN;
      this.chosen();
      (this.inputs.get(field) ?? this.inputs.get("occurred_at")).focus();
    }
  }

  async save() {
    if (!this.name.value || !this.name.reportValidity()) return this.name.focus();
    this.status.className = "status";
    try {
      const mapping = this.mapping();
      await this.put(this.name.value, mapping);
      this.setStored({ ...this.stored, [this.name.value]: mapping }, this.name.value);
      this.status.className = "status good";
      this.status.textContent = t("savedAs", { name: this.name.value });
    } catch (error) {
      showErrorIn(this.status, error);
    }
  }
}

/** What is typed in inputs, without the empty ones. @param {Map<string, any>} inputs @returns {Record<string, string>} */
const typed = (inputs) => Object.fromEntries([...inputs].map(([name, input]) => [name, input.value.trim()]).filter(([, value]) => value));

/** @param {typeof CHOICES[number]} name */
const choiceInput = (name) => name === "date_only" ? make("select", { name }, ...["", "interval"].map((value) => make("option", { value }, t(`choice_${value}`)))) : make("input", { name, autocomplete: "off", placeholder: EXAMPLES[name], ...(name === "header_row" ? { type: "number", min: 1, max: 100 } : {}) });

/** @param {string} key @param {Node} field */
const labelled = (key, field) => make("label", {}, make("span", {}, t(key)), field);

/** Names that the service found, or those in a file's first line. @param {File} file @param {string[]} header */
async function headerOf(file, header) {
  if (header.length || !/\.(csv|tsv|txt)$/i.test(file.name)) return header;
  const line = (await file.slice(0, HEADER_BYTES).text()).split(/\r?\n/).find((found) => found.trim()) ?? "";
  const often = (/** @type {string} */ sign) => line.split(sign).length;
  const sign = [...SEPARATORS].sort((a, b) => often(b) - often(a))[0];
  return [...line.matchAll(new RegExp(`(?:"((?:[^"]|"")*)"|([^${sign}]*))(?:${sign === "|" ? "\\|" : sign}|$)`, "g"))]
    .map(([, quoted, plain]) => (quoted?.replaceAll('""', '"') ?? plain).trim()).filter(Boolean);
}
