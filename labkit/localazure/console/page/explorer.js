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

/** The first table of the answer: `{columns: [{name, type}], rows: [[…]]}`. */
async function query(text) {
  const answer = await ask("query", { method: "POST", document: { query: text } });
  return answer.tables[0];
}

function show({ columns, rows }) {
  const headings = columns.map(({ name, type }) => ({ text: plain(name, 100), number: NUMBERS.includes(type) }));
  const made = table(`Columns: ${columns.map(({ name, type }) => `${plain(name, 100)} (${type})`).join(", ")}`, headings);
  made.tBodies[0].append(...rows.slice(0, SHOWN_ROWS).map((values) => row(headings, values.map(cell))));
  byId("query-result").replaceChildren(made);
  byId("query-result").hidden = false;
  const more = rows.length > SHOWN_ROWS ? `, the first ${count(SHOWN_ROWS)} of them shown` : "";
  say(byId("query-count"), rows.length ? `${count(rows.length)} rows${more}` : "No row matches. Is the time range right?");
}

function cell(value) {
  if (value === null) return el("span", { className: "muted" }, "null");
  return el("bdi", {}, plain(value, CELL));
}

/** Say what is wrong, and put the cursor there. */
function explain(problem) {
  const place = innermost(problem.error ?? {});
  const where = place.line ? ` (line ${place.line}, character ${place.pos + 1})` : "";
  say(byId("query-error"), plain(`${place.message ?? problem.message}${where}`, 1_000));
  if (place.line) mark(place);
}

/** The deepest error object: that is where the service says the place. */
function innermost(error) {
  return error.innererror ? innermost(error.innererror) : error;
}

function mark({ line, pos, token }) {
  const field = byId("query");
  const before = field.value.split("\n").slice(0, line - 1);
  const start = before.reduce((sum, text) => sum + text.length + 1, 0) + pos;
  field.focus();
  field.setSelectionRange(start, start + (token?.length || 1));
}
