// Elements of the page. Every text goes in as text: there is no way from here to markup.

/** An element with `properties` (those with a dash, and `role`, as attributes) and `children` (elements or texts). */
export function el(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** The same for an element of a drawing. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "scope" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** The element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Set a text, touching the page only when it changes (a selection in it survives). */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A table with a caption and column headings (`{text, number}`); rows belong into its `tBodies[0]`. */
export function table(caption, columns) {
  const headings = columns.map((column) =>
    el("th", { scope: "col", className: classes(column) }, column.text));
  return el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, ...headings)), el("tbody"));
}

/** A row: the first cell is its heading. `cells` are texts or elements. */
export function row(columns, cells) {
  return el("tr", {}, ...cells.map((cell, index) => {
    const properties = { className: classes(columns[index]) };
    return index ? el("td", properties, cell) : el("th", { ...properties, scope: "row" }, cell);
  }));
}

function classes(column) {
  return ["number", "wide", "nowrap"].filter((name) => column[name]).join(" ");
}

/**
 * Make the children of `parent` the elements of `items`, in their order: those that stay are kept (with focus and
 * selection), `create(item)` makes new ones, `update(element, item)` brings all up to date.
 */
export function keyed(parent, items, keyOf, create, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    const element = known.get(key) ?? create(item);
    known.delete(key);
    element.dataset.key = key;
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const gone of known.values()) gone.remove();
}
