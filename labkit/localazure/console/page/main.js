// The console's beginning: what the server is, whose key there is, and then a refresh every second.

import { Unreachable, ask } from "./api.js";
import { Classroom } from "./classroom.js";
import * as connection from "./connection.js";
import { byId, say } from "./dom.js";
import { plain } from "./format.js";
import * as key from "./key.js";
import { Lab } from "./lab.js";
import { Pulse } from "./pulse.js";
import { closeDoor, watchDoor } from "./signin.js";

const EVERY_MS = 1_000;

const pulse = new Pulse(beat, EVERY_MS);
let view = null;

/** One refresh; whatever goes wrong is said at the top of the page. */
async function beat() {
  try {
    view ??= await open();
    await view.refresh(() => pulse.running);
  } catch (problem) {
    report(problem);
  }
}

/** A class server's root shows the class, any other page its local Azure. */
async function open() {
  const { service } = await ask("");
  return service === "labkit class server" ? new Classroom() : new Lab(() => pulse.now());
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
  view?.forget();
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
