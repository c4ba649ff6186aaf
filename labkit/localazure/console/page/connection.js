// The line at the top that says whether what is shown is live.

import { byId, say } from "./dom.js";
import { timeOf } from "./format.js";

let lostAt = null;

/** It is live, for a caller ("lab" or "admin"). */
export function connected(caller) {
  lostAt = null;
  show("good", caller === "admin" ? "● Live, as teacher" : "● Live");
}

/** It stands still because its reader paused it. */
export function paused() {
  show("waiting", "❚❚ Paused");
}

/** Nobody answers: what is shown is old. */
export function lost() {
  lostAt ??= Date.now() / 1000;
  show("bad", `✕ Not reachable since ${timeOf(lostAt)}, retrying`);
}

/** The server answers, and something is wrong. */
export function failing(reason) {
  show("bad", `✕ ${reason}; retrying`);
}

/** A key is needed. */
export function closed() {
  show("waiting", "A key is needed");
}

function show(kind, text) {
  const line = byId("connection");
  line.dataset.kind = kind;
  document.body.dataset.live = kind;
  say(line, text);
}
