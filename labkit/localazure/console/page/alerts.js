// Alerts: the rules, what fired and was resolved, and who was told.

import { ask } from "./api.js";
import { byId, el, keyed, row, say, table } from "./dom.js";
import { plain, timeOf } from "./format.js";
import { chip } from "./status.js";

const SHOWN = 50;
// Rules are evaluated once a minute at most.
const EVERY_BEATS = 3;
const NO_RULES = "No rule yet. Task 3 creates one, with azure-mgmt-monitor: metric_alerts.create_or_update(…).";

const ALERTS = [
  { text: "Fired at" }, { text: "Rule" }, { text: "Severity" }, { text: "Condition" }, { text: "Target" },
  { text: "Resolved at" }, { text: "Response" },
];
const RULES = [{ text: "Rule" }, { text: "Kind" }, { text: "Severity" }, { text: "State" }, { text: "Fires when" }];
const NOTICES = [
  { text: "At" }, { text: "Rule" }, { text: "Alert" }, { text: "By" }, { text: "To" }, { text: "Outcome" },
];

/** The section with the alerts. */
export class Alerts {
  constructor() {
    this.beat = 0;
    this.after = 0;
    this.known = new Map();
    this.alerts = [];
    this.errors = {};
    this.history = group("Fired and resolved, newest first", ALERTS, "Nothing has fired.");
    this.rules = group("Alert rules", RULES, NO_RULES);
    this.notices = group("Notifications, newest first", NOTICES, "Nobody was told anything yet.");
    byId("alerts-body").append(this.history, this.rules, this.notices);
  }

  /** How many alerts stand. */
  get firing() {
    return this.alerts.filter(({ condition }) => condition === "Fired").length;
  }

  /** Ask from the first beat on, and then at every third. */
  async read() {
    if (this.beat++ % EVERY_BEATS) return;
    const { alerts, notifications, errors, last_id: last } = await ask(`alerts?after=${this.after}`);
    this.after = Math.max(0, last - SHOWN); // their outcomes may still change
    this.announce(alerts);
    this.alerts = alerts;
    this.errors = errors;
    fill(this.history, newest(alerts), ({ id }) => id, alertCells);
    fill(this.notices, newest(notifications), ({ id }) => id, noticeCells);
  }

  /** Show the rules of an overview. */
  show({ rules }) {
    fill(this.rules, rules, ({ id }) => id, (rule) => ruleCells(rule, this.errors[rule.id.toLowerCase()]));
  }

  forget() {
    this.beat = 0;
    this.after = 0;
    this.known.clear();
  }

  /** Tell a screen reader what has fired or was resolved since the last time, not what was there at first. */
  announce(alerts) {
    const news = alerts.filter(({ id, condition }) => this.known.get(id) !== condition);
    if (this.beat > 1 && news.length) {
      say(byId("alerts-news"), news.map(({ rule, condition }) => `Alert ${plain(rule, 64)}: ${condition}.`).join(" "));
    }
    this.known = new Map(alerts.map(({ id, condition }) => [id, condition]));
  }
}

function newest(items) {
  return items.slice(-SHOWN).toReversed();
}

function alertCells(alert) {
  const fired = alert.condition === "Fired";
  const about = Object.entries(alert.dimensions).map(([name, value]) => `${name} = ${value}`);
  return [
    timeOf(alert.fired_at_s), alert.rule, alert.severity || "–",
    chip(fired ? { text: "▲ Fired", kind: "bad" } : { text: "✓ Resolved", kind: "good" }),
    [alert.target.split("/").at(-1), ...about].join(", "),
    alert.resolved_at_s === null ? "–" : timeOf(alert.resolved_at_s), alert.state,
  ];
}

function ruleCells(rule, error) {
  const state = error ? { text: "✕ failing", kind: "bad" } : rule.enabled ? { text: "✓ on", kind: "good" }
    : { text: "off", kind: "waiting" };
  return [rule.name, rule.kind, `Sev${rule.severity ?? "–"}`, chip(state), error || rule.condition];
}

function noticeCells(notice) {
  const good = notice.outcome === "delivered" || notice.outcome === "not sent";
  const outcome = notice.outcome === "not sent" ? "simulated" : notice.outcome;
  return [
    timeOf(notice.at_s), notice.rule, notice.condition, notice.channel, notice.to || notice.receiver,
    chip({ text: notice.status ? `${outcome} (${notice.status})` : outcome, kind: good ? "good" : "waiting" }),
  ];
}

/** A table under its own heading, with a sentence for when it is empty. */
function group(title, columns, empty) {
  const made = el("div", { className: "group" }, el("h3", {}, title),
    el("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": title }, table(title, columns)),
    el("p", { className: "empty" }, empty));
  made.columns = columns;
  return made;
}

function fill(element, items, keyOf, cellsOf) {
  const [, scroll, empty] = element.children;
  scroll.hidden = items.length === 0;
  empty.hidden = items.length > 0;
  keyed(scroll.querySelector("tbody"), items, keyOf, () => row(element.columns, element.columns.map(() => "")),
    (line, item) => cellsOf(item).forEach((cell, index) => put(line.cells[index], cell)));
}

/** A text, or an element when it says something else than the one that is there. */
function put(place, cell) {
  if (typeof cell === "string") say(place, plain(cell, 200));
  else if (place.textContent !== cell.textContent) place.replaceChildren(cell);
}
