// The telemetry tables with their columns, asked for when somebody wants to see them.

import { ask } from "./api.js";
import { byId, el } from "./dom.js";
import { count, plain } from "./format.js";

/** List the tables when they are unfolded; a press on a name calls `chosen` with it. */
export function watchTables(query, chosen) {
  const details = byId("query-tables");
  details.addEventListener("toggle", async () => {
    if (!details.open) return;
    try {
      const { tables } = await ask("telemetry");
      const listed = Object.entries(tables).map(([name, rows]) => describe(query, chosen, name, rows));
      details.lastElementChild.replaceChildren(el("ul", { className: "tables" }, ...await Promise.all(listed)));
    } catch (problem) {
      details.lastElementChild.replaceChildren(el("p", { className: "problem" }, plain(problem.message)));
    }
  });
}

/** One table; its columns are those of a query that asks for no rows. */
async function describe(query, chosen, name, rows) {
  const { columns } = await query(`${name} | take 0`);
  const button = el("button", { type: "button", className: "link" }, name);
  button.addEventListener("click", () => chosen(name));
  const names = columns.map(({ name: column, type }) => `${column} (${type})`).join(", ");
  return el("li", {}, button, ` ${count(rows)} rows ever: `, el("span", { className: "muted" }, names));
}
