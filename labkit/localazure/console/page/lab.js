// One local Azure: its sections, and what they are shown at every beat.

import { Alerts } from "./alerts.js";
import { ask } from "./api.js";
import { showBudgets } from "./budgets.js";
import { drawLatency, drawRate } from "./chart.js";
import { watchClock } from "./clock.js";
import { connected } from "./connection.js";
import { showCosts } from "./costs.js";
import { showDeployments } from "./deployments.js";
import { byId, say } from "./dom.js";
import { watchExplorer } from "./explorer.js";
import { Faults } from "./faults.js";
import { dateOf, plain } from "./format.js";
import { Requests } from "./requests.js";
import { openDoor } from "./signin.js";
import { showTotals } from "./totals.js";

const FIRST_ROWS = 200;
const MOST_ROWS = 500;

/** The view of a local Azure. `changed` refreshes the page at once. */
export class Lab {
  constructor(changed) {
    this.requests = new Requests();
    this.faults = new Faults(changed);
    this.alerts = new Alerts();
    this.run = null; // which run of the server the rows are from
    this.after = 0;
    watchClock(changed);
    watchExplorer();
  }

  /** Ask what is new and show it, if `isWanted()` still holds then. */
  async refresh(isWanted) {
    const overview = await ask("overview");
    const { run } = overview.service;
    const last = overview.journal.last_id;
    if (run !== this.run) this.restart(run, last);
    const from = Math.max(this.after, last - MOST_ROWS);
    const [{ entries }, { faults }] = await Promise.all([
      ask(`journal?after=${from}&limit=${MOST_ROWS}`), ask("faults"), this.alerts.read(),
    ]);
    if (!isWanted()) return;
    openDoor("console");
    connected(overview.caller);
    show(overview, this.alerts.firing);
    this.alerts.show(overview);
    this.faults.show(faults, overview);
    this.requests.add(entries, from - this.after);
    this.after = entries.at(-1)?.id ?? from;
  }

  /** Another key may see something else: begin anew. */
  forget() {
    this.run = null;
    this.alerts.forget();
  }

  /** The server is another one than before: begin with the newest rows there are. */
  restart(run, last) {
    this.run = run;
    this.after = Math.max(0, last - FIRST_ROWS);
    this.requests.clear();
    this.alerts.forget();
  }
}

function show(overview, firing) {
  const { service, recent } = overview;
  say(byId("where"), `${plain(service.resource_group)} · labkit ${service.version} · ${dateOf(service.now_s)}`
    + ` · latency × ${service.latency_scale}`);
  showTotals(overview, firing);
  showDeployments(overview);
  drawLatency(byId("latency"), recent, service.now_s);
  drawRate(byId("rate"), recent, service.now_s);
  showCosts(overview);
  showBudgets(overview);
}
