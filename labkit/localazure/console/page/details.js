// Everything the journal holds of one request, in a dialog.

import { byId, el, say } from "./dom.js";
import { count, dateOf, duration, plain, usd } from "./format.js";
import { chip, ending } from "./status.js";

const LIMIT = 4_000;

/** Show `entry` until the dialog is closed. */
export function details(entry) {
  const dialog = byId("details");
  say(byId("details-title"), `Request ${count(entry.id)}`);
  const rows = Object.entries(entry).filter(([name]) => name !== "id").map(([name, value]) => pair(name, value, entry));
  dialog.querySelector("dl").replaceChildren(...rows.filter(Boolean).flat());
  dialog.showModal();
}

function pair(name, value, entry) {
  if (value === null || value === "" || (typeof value === "object" && !Object.keys(value).length)) return null;
  return [el("dt", {}, label(name)), el("dd", { dir: "auto" }, shown(name, value, entry))];
}

/** `error_code` as "Error code". */
function label(name) {
  const words = name.replace(/_(s|ms|usd)$/, "").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function shown(name, value, entry) {
  if (name === "status") return chip(ending(entry));
  if (name === "at_s") return dateOf(value);
  if (name.endsWith("_ms")) return duration(value);
  if (name.endsWith("_s")) return `${count(value)} s`;
  if (name.endsWith("_usd")) return usd(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return count(value);
  return plain(typeof value === "object" ? JSON.stringify(value) : value, LIMIT);
}
