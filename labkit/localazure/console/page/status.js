// How a request ended, in words: never in colour alone.

import { el } from "./dom.js";

const WORDS = { 401: "no access", 403: "no access", 404: "not found", 408: "timed out" };

/** What is said of a journal entry's end, and its kind: good, waiting (try again) or bad. */
export function ending(entry) {
  const { status } = entry;
  if (status === 0) return { text: "✕ no answer", kind: "bad" };
  // The status line was out before the connection was cut.
  if (status < 400 && entry.error_code) return { text: `✕ ${status}, cut off`, kind: "bad" };
  if (status < 400) return { text: `✓ ${status} OK`, kind: "good" };
  if (status === 429) return { text: "◷ 429 throttled", kind: "waiting" };
  if (entry.error_code === "content_filter") return { text: `✕ ${status} filtered`, kind: "bad" };
  return { text: `✕ ${status} ${WORDS[status] ?? (status >= 500 ? "failed" : "refused")}`, kind: "bad" };
}

/** The same as an element. */
export function chip({ text, kind }) {
  const element = el("span", { className: "chip" }, text);
  element.dataset.kind = kind;
  return element;
}
