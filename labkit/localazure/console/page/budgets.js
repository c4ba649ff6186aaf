// Budgets: what was spent, and what the period will come to, against the amount.

import { byId, el, keyed, say } from "./dom.js";
import { plain, usd } from "./format.js";
import { gauge, setGauge } from "./gauge.js";

/** Show the budgets of an overview. */
export function showBudgets({ budgets }) {
  keyed(byId("budgets-list"), budgets, (budget) => `${budget.scope} ${budget.name}`, create, update);
  say(byId("budgets-empty"), budgets.length ? ""
    : "No budget yet. Task 4 creates one, with azure-mgmt-consumption or with az consumption budget create.");
}

function create() {
  return el("li", { className: "card" }, el("h3", {}, el("bdi")), el("p", { className: "muted" }),
    gauge("Spent"), gauge("Forecast"), el("p"));
}

function update(element, budget) {
  const [title, about, spent, forecast, notices] = element.children;
  say(title.firstElementChild, plain(budget.name, 64));
  say(about, `${plain(budget.timeGrain)} · ${plain(budget.scope.split("/").at(-1), 90)}`);
  setGauge(spent, budget.currentSpend?.amount ?? 0, budget.amount, usd);
  forecast.hidden = !budget.forecastSpend;
  if (budget.forecastSpend) setGauge(forecast, budget.forecastSpend.amount, budget.amount, usd);
  say(notices, thresholds(budget.notifications ?? {}));
}

function thresholds(notifications) {
  const texts = Object.values(notifications).map((notice) =>
    `${notice.threshold}% ${notice.thresholdType.toLowerCase()}${notice.enabled ? "" : " (off)"}`);
  return texts.length ? `Notifies at ${texts.join(", ")}` : "Notifies nobody";
}
