// The console: asks the server every second for what is new, and hands it to the sections.

import { Unreachable, ask } from "./api.js";
import { showBudgets } from "./budgets.js";
import { drawLatency, drawRate } from "./chart.js";
import * as connection from "./connection.js";
import { showCosts } from "./costs.js";
import { showDeployments } from "./deployments.js";
import { byId, say } from "./dom.js";
import { dateOf, plain } from "./format.js";
import * as key from "./key.js";
import { Pulse } from "./pulse.js";
import { Requests } from "./requests.js";
import { closeDoor, openDoor, watchDoor } from "./signin.js";
import { showTotals } from "./totals.js";

const EVERY_MS = 1_000;
const FIRST_ROWS = 200;
const MOST_ROWS = 500;

const requests = new Requests();
const pulse = new Pulse(beat, EVERY_MS);
let run = null; // which run of the server the rows are from
let after = 0;

/** One refresh; whatever goes wrong is said at the top of the page. */
async function beat() {
  try {
    await refresh();
  } catch (problem) {
    report(problem);
  }
}

async function refresh() {
  const overview = await ask("overview");
  if (overview.service.run !== run || overview.journal.last_id < after) restart(overview);
  const from = Math.max(after, overview.journal.last_id - MOST_ROWS);
  const { entries } = await ask(`journal?after=${from}&limit=${MOST_ROWS}`);
  if (!pulse.running) return; // paused, or signed out, in the meantime
  openDoor();
  connection.connected(overview.caller);
  show(overview);
  requests.add(entries, from - after);
  after = entries.at(-1)?.id ?? from;
}

/** The server is another one than before, or its journal was cleared: begin with the newest rows there are. */
function restart({ service, journal }) {
  run = service.run;
  after = Math.max(0, journal.last_id - FIRST_ROWS);
  requests.clear();
}

function show(overview) {
  const { service, recent } = overview;
  say(byId("where"), `${plain(service.resource_group)} · labkit ${service.version} · clock ${dateOf(service.now_s)}`
    + ` · waits ${service.latency_scale} of the simulated latency`);
  showTotals(overview, null);
  showDeployments(overview);
  drawLatency(byId("latency"), recent, service.now_s);
  drawRate(byId("rate"), recent, service.now_s);
  showCosts(overview);
  showBudgets(overview);
}

function report(problem) {
  if (problem.isAboutKey) {
    lock(key.current() ? "This key does not fit. A local Azure that was started anew has a new key." : "");
  } else if (problem instanceof Unreachable) {
    connection.lost();
  } else {
    connection.failing(plain(problem.message, 200));
    console.error(problem);
  }
}

function lock(reason) {
  pulse.stop();
  run = null;
  connection.closed();
  closeDoor(reason);
}

function togglePause() {
  const button = byId("pause");
  const willPause = pulse.running;
  button.setAttribute("aria-pressed", willPause);
  say(button, willPause ? "Go on" : "Pause");
  if (willPause) {
    pulse.stop();
    connection.paused();
  } else {
    pulse.start();
  }
}

byId("pause").addEventListener("click", togglePause);
watchDoor(() => pulse.start(), () => lock(""));
if (key.current()) pulse.start();
else lock("");
