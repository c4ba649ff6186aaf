// The door: asks for a key when none came with the address, or when the one in use no longer fits.

import { byId, say } from "./dom.js";
import * as key from "./key.js";

const INSIDE = ["console", "classroom"];

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

/** Show the door, with a reason when there is one, instead of what is inside. */
export function closeDoor(reason) {
  toggle(null);
  say(byId("signin-error"), reason);
  byId("key").focus();
}

/** Show the part of the page with the id `inside`. */
export function openDoor(inside) {
  if (!byId(inside).hidden) return;
  const hadFocus = byId("signin").contains(document.activeElement);
  toggle(inside);
  say(byId("signin-error"), "");
  if (hadFocus) byId("main").focus();
}

function toggle(inside) {
  byId("signin").hidden = inside !== null;
  for (const id of INSIDE) byId(id).hidden = id !== inside;
  for (const id of ["pause", "leave"]) byId(id).hidden = inside === null;
  byId("sections").hidden = inside !== "console";
}
