/** Small helpers on elements. Text is always set as text, never as markup. */

/** @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/**
 * @param {string} tag @param {Record<string, any>} [attributes] @param {...(Node | string)} children
 * @returns {any}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/** Rows of a definition list. @param {[string, string | Node][]} rows */
export const definitions = (rows) =>
  make("dl", {}, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));

/** A table with a head. @param {string} caption @param {string[]} head @param {(string | Node)[][]} rows */
export function table(caption, head, rows) {
  const cells = (/** @type {(string | Node)[]} */ row) =>
    row.map((value, i) => (i === 0 ? make("th", { scope: "row" }, value) : make("td", {}, value)));
  return make(
    "table", {},
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...head.map((h) => make("th", { scope: "col" }, h)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...cells(row)))),
  );
}
