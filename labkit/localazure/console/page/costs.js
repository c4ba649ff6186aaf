// What each deployment used, and what that costs at the catalogue's prices.

import { byId, el, keyed, row, say, table } from "./dom.js";
import { count, duration, plain, usd } from "./format.js";

const COLUMNS = [
  { text: "Deployment" }, { text: "Model", nowrap: true }, { text: "Requests", number: true },
  { text: "Throttled", number: true }, { text: "Failed", number: true }, { text: "Tokens in", number: true },
  { text: "Cached", number: true }, { text: "Tokens out", number: true }, { text: "Mean latency", number: true },
  { text: "Cost (USD)", number: true },
];

let shown = null;

/** Show the usage of an overview. */
export function showCosts({ usage }) {
  shown ??= create();
  const rows = usage.deployments.map((found) => ({ key: JSON.stringify([found.account, found.deployment, found.model]),
    name: found.deployment, model: found.model || "–", sums: found }));
  keyed(shown.tBodies[0], rows, (item) => item.key, createRow, update);
  update(shown.tFoot.rows[0], { name: "Total", model: "", sums: usage.total });
  shown.hidden = rows.length === 0;
  say(byId("costs-empty"), rows.length ? ""
    : "Nothing was used yet. Every answered request adds its tokens and its price here.");
}

function create() {
  const made = table("Since the start, by deployment. Prices are the catalogue's, for each million tokens.", COLUMNS);
  made.append(el("tfoot", {}, createRow()));
  byId("costs").querySelector(".scroll").append(made);
  return made;
}

function createRow() {
  return row(COLUMNS, COLUMNS.map(() => ""));
}

function update(line, { name, model, sums }) {
  const texts = [plain(name, 64), plain(model, 64), count(sums.requests), count(sums.throttled), count(sums.failed),
    count(sums.prompt_tokens), count(sums.cached_tokens), count(sums.completion_tokens), duration(sums.mean_ms),
    usd(sums.cost_usd)];
  texts.forEach((text, index) => say(line.cells[index], text));
}
