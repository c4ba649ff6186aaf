// The telemetry explorer: a query in KQL, its result as a table, or what is wrong with it and where.

import { ask } from "./api.js";
import { byId, el, row, say, table } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { count, plain } from "./format.js";
import { watchTables } from "./tables.js";

const SHOWN_ROWS = 500;
const CELL = 300;
const NUMBERS = ["int", "long", "real", "decimal"];

/** Fill the examples' menu and listen to the form. */
export function watchExplorer() {
  const menu = byId("query-examples");
  menu.append(...EXAMPLES.map(({ name }) => el("option", {}, name)));
  menu.addEventListener("change", () => choose(menu.selectedIndex - 1));
  byId("query-form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  watchTables(query, (name) => start(`${name}\n| take 20`));
  byId("query").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
  });
}

function choose(index) {
  if (index >= 0) start(EXAMPLES[index].query);
}

function start(text) {
  byId("query").value = text;
  run();
}

async function run() {
  say(byId("query-count"), "Running …");
  say(byId("query-error"), "");
  try {
    show(await query(byId("query").value));
  } catch (problem) {
    say(byId("query-count"), "");
    byId("query-result").hidden = true;
    explain(problem);
  }
}

/** The answer: `{columns: [{name, type}], rows: [[…]], is_partial}`. */
function query(text) {
  return ask("query", { method: "POST", document: { kql: text } });
}

function show({ columns, rows, is_partial: isPartial }) {
  const headings = columns.map(({ name, type }) => ({ text: plain(name, 100), number: NUMBERS.includes(type) }));
  const types = columns.map(({ name, type }) => `${plain(name, 100)} (${type})`);
  const made = table(`Columns: ${types.join(", ")}`, headings);
  made.tBodies[0].append(...rows.slice(0, SHOWN_ROWS).map((values) => row(headings, values.map(cell))));
  byId("query-result").replaceChildren(made);
  byId("query-result").hidden = false;
  const kept = rows.length > SHOWN_ROWS ? `, the first ${count(SHOWN_ROWS)} of them shown` : "";
  const all = `${isPartial ? "The first " : ""}${count(rows.length)} ${rows.length === 1 ? "row" : "rows"}${kept}`;
  say(byId("query-count"), rows.length ? all
    : "No row matches. Widen the time range, or send telemetry first (task 3).");
}

function cell(value) {
  if (value === null) return el("span", { className: "muted" }, "null");
  return el("bdi", {}, plain(value, CELL));
}

/** Say what is wrong, and put the cursor there. */
function explain({ message, error }) {
  const where = error?.line ? ` (line ${error.line}, character ${error.position + 1})` : "";
  say(byId("query-error"), plain(`${message}${where}`, 1_000));
  if (error?.line) mark(error);
}

function mark({ line, position, token }) {
  const field = byId("query");
  const before = field.value.split("\n").slice(0, line - 1);
  const start = before.reduce((sum, text) => sum + text.length + 1, 0) + position;
  field.focus();
  field.setSelectionRange(start, start + (token?.length || 1));
}
