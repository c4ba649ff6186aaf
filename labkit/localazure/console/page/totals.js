// The large numbers at the top.

import { byId, el, keyed, say } from "./dom.js";
import { compact, count, duration, percent, usd } from "./format.js";

/** Show the sums of an overview; `firing` is how many alerts stand. */
export function showTotals({ usage, last_minute: minute }, firing) {
  const { total, today } = usage;
  const tiles = [
    ["Requests", compact(total.requests), `${count(minute.requests)} in the last minute`],
    ["Tokens today", compact(today.prompt_tokens + today.completion_tokens),
      `${compact(today.prompt_tokens)} in, ${compact(today.completion_tokens)} out`],
    ["Cost today", usd(today.cost_usd), `${usd(total.cost_usd)} in all`],
    ["Latency p95", duration(minute.p95_ms), "simulated, last minute"],
    ["Throttled", percent(total.throttled, total.requests), `${count(total.throttled)} answered 429`],
    ["Failed", percent(total.failed, total.requests), `${count(total.failed)} other errors`],
    ["Alerts", count(firing), firing ? "▲ fired now" : "✓ none fired now"],
  ];
  keyed(byId("totals"), tiles, ([name]) => name, createTile, updateTile);
}

function createTile([name]) {
  return el("div", { className: "tile" },
    el("h2", {}, name), el("p", { className: "large" }), el("p", { className: "muted" }));
}

function updateTile(element, [, value, more]) {
  say(element.children[1], value);
  say(element.children[2], more);
}
