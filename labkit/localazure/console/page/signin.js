// The door: asks for a key when none came with the address, or when the one in use no longer fits.

import { byId, say } from "./dom.js";
import * as key from "./key.js";

/** Call `entered` when a key was given, and `left` when its reader asks to give another one. */
export function watchDoor(entered, left) {
  byId("signin-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = byId("key");
    key.use(field.value.trim());
    field.value = "";
    entered();
  });
  byId("leave").addEventListener("click", () => {
    key.use("");
    left();
  });
  key.watch(entered);
}

/** Show the door, with a reason when there is one, instead of the console. */
export function closeDoor(reason) {
  toggle(false);
  say(byId("signin-error"), reason);
  byId("key").focus();
}

/** Show the console. */
export function openDoor() {
  if (byId("signin").hidden && !byId("console").hidden) return;
  const hadFocus = byId("signin").contains(document.activeElement);
  toggle(true);
  say(byId("signin-error"), "");
  if (hadFocus) byId("main").focus();
}

function toggle(open) {
  byId("signin").hidden = open;
  for (const id of ["console", "sections", "pause", "leave"]) byId(id).hidden = !open;
}
