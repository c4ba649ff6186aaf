// The large numbers at the top.

import { byId, el, keyed, say } from "./dom.js";
import { compact, count, duration, percent, usd } from "./format.js";

const LAST_MINUTE_S = 60;

/** Show the sums of an overview; `firing` is how many alerts are fired now, null when none can be. */
export function showTotals({ usage, recent, service }, firing) {
  const { total, today } = usage;
  const minute = lastMinute(recent, service.now_s);
  const tiles = [
    ["Requests", compact(total.requests), `${count(minute.requests)} in the last minute`],
    ["Tokens today", compact(today.prompt_tokens + today.completion_tokens),
      `${compact(today.prompt_tokens)} in, ${compact(today.completion_tokens)} out`],
    ["Cost today", usd(today.cost_usd), `${usd(total.cost_usd)} in all`],
    ["Latency p95", duration(minute.p95_ms), "simulated, last minute"],
    ["Throttled", percent(total.throttled, total.requests), `${count(total.throttled)} answered 429`],
    ["Failed", percent(total.failed, total.requests), `${count(total.failed)} other errors`],
  ];
  if (firing !== null) tiles.push(["Alerts fired", count(firing), firing ? "see Alerts below" : "nothing fires now"]);
  keyed(byId("totals"), tiles, ([name]) => name, createTile, updateTile);
}

function createTile([name]) {
  return el("div", { className: "tile" }, el("h2", {}, name), el("p", { className: "large" }), el("p", { className: "muted" }));
}

function updateTile(element, [, value, more]) {
  say(element.children[1], value);
  say(element.children[2], more);
}

/** Requests of the last minute, and the highest of its steps' 95th percentiles. */
function lastMinute(recent, nowS) {
  const steps = recent.filter((step) => step.start_s > nowS - LAST_MINUTE_S);
  const latencies = steps.map((step) => step.p95_ms).filter((ms) => ms !== null);
  return {
    requests: steps.reduce((sum, step) => sum + step.answered + step.throttled + step.failed, 0),
    p95_ms: latencies.length ? Math.max(...latencies) : null,
  };
}
