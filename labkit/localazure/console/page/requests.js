// The live stream of requests, newest first, with a filter and the details of each.

import { byId, el, row, say, table } from "./dom.js";
import { details } from "./details.js";
import { count, duration, plain, timeOf } from "./format.js";
import { chip, ending } from "./status.js";

const KEPT = 1_000;
const SHOWN = 100;
const COLUMNS = [
  { text: "Time" }, { text: "Operation" }, { text: "Deployment" }, { text: "Status" },
  { text: "Tokens in", number: true }, { text: "Tokens out", number: true }, { text: "Latency", number: true },
  { text: "Fault", wide: true },
];

/** The section with the stream. */
export class Requests {
  constructor() {
    this.entries = []; // newest first
    this.skipped = 0;
    this.table = table("Requests, newest first. Enter or a click on a time shows all of a request.", COLUMNS);
    this.body = this.table.tBodies[0];
    byId("requests").querySelector(".scroll").append(this.table);
    byId("requests-filter").addEventListener("input", () => this.redraw());
    byId("requests-filter").addEventListener("submit", (event) => event.preventDefault());
    this.body.addEventListener("click", (event) => this.open(event.target.closest("tr")));
  }

  /** Forget everything: another server, or another key. */
  clear() {
    this.entries = [];
    this.skipped = 0;
    this.redraw();
  }

  /** Take in what is new, given oldest first; `skipped` entries before it were never fetched. */
  add(entries, skipped) {
    this.skipped += skipped;
    if (!entries.length) return this.count();
    const fresh = entries.toReversed();
    this.entries = [...fresh, ...this.entries].slice(0, KEPT);
    this.body.prepend(...fresh.filter(this.filter()).slice(0, SHOWN).map(line));
    while (this.body.rows.length > SHOWN) this.body.lastElementChild.remove();
    return this.count();
  }

  redraw() {
    this.body.replaceChildren(...this.entries.filter(this.filter()).slice(0, SHOWN).map(line));
    this.count();
  }

  filter() {
    const text = byId("filter-text").value.trim().toLowerCase();
    const face = byId("filter-face").value;
    const errors = byId("filter-errors").checked;
    return (entry) => (!face || entry.face === face) && (!errors || ending(entry).kind !== "good")
      && (!text || searched(entry).includes(text));
  }

  count() {
    const empty = this.entries.length === 0;
    this.table.hidden = this.body.rows.length === 0;
    const shown = `${count(this.body.rows.length)} shown of ${count(this.entries.length)} kept`;
    const skipped = this.skipped ? `; ${count(this.skipped)} older ones are in the journal` : "";
    say(byId("requests-count"), empty ? "" : shown + skipped);
    say(byId("requests-empty"), this.body.rows.length ? "" : empty
      ? "No request yet. Run a cell that calls a deployment, and it appears here within a second."
      : "No request matches the filter.");
  }

  open(line) {
    const entry = line && this.entries.find((kept) => String(kept.id) === line.dataset.id);
    if (entry) details(entry);
  }
}

function searched(entry) {
  return [entry.face, entry.operation, entry.deployment, entry.model, entry.status, entry.error_code, entry.fault,
    entry.prompt, ending(entry).text, entry.stream ? "stream" : ""].join(" ").toLowerCase();
}

function line(entry) {
  const isModel = entry.face === "inference";
  const operation = plain(entry.operation || entry.path, 60) + (entry.stream ? " (stream)" : "");
  const made = row(COLUMNS, [
    el("button", { type: "button", className: "link", "aria-label": `Details of the request at ${timeOf(entry.at_s)}` },
      timeOf(entry.at_s)),
    el("bdi", {}, operation),
    el("bdi", {}, plain(entry.deployment ?? "–", 64)),
    chip(ending(entry)),
    isModel ? count(entry.prompt_tokens) : "–",
    isModel ? count(entry.completion_tokens) : "–",
    duration(isModel ? entry.simulated_ms : entry.duration_ms),
    el("bdi", {}, plain(entry.fault ?? "–", 64)),
  ]);
  made.dataset.id = entry.id;
  return made;
}
