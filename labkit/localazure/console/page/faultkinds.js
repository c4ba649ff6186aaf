// What can be made to go wrong, in the words of the form and in those of the API; and the way back from there.

import { count, duration, percent } from "./format.js";

/** `value` is the number that a kind needs: its label, its unit in the API's fields, and where it starts. */
export const KINDS = [
  {
    name: "429 Too many requests",
    fault: { kind: "status", status: 429 },
    value: ["Retry after (s)", "retry_after_s", 5],
  },
  { name: "500 Server error", fault: { kind: "status", status: 500 } },
  { name: "503 Service unavailable", fault: { kind: "status", status: 503 } },
  { name: "408 Timed out", fault: { kind: "status", status: 408 } },
  { name: "Slower by a factor", fault: { kind: "latency" }, value: ["Times as slow", "factor", 10] },
  { name: "Late answer", fault: { kind: "first_byte" }, value: ["Late by (ms, simulated)", "delay_ms", 5000] },
  { name: "Slow stream", fault: { kind: "slow_stream" }, value: ["Times as slow", "factor", 10] },
  { name: "Cut in the middle", fault: { kind: "cut" } },
  { name: "Connection reset", fault: { kind: "reset" } },
];

/** Which calls run into it: the form's label for a number, the API's field, and what makes the one the other. */
export const REACHES = [
  { name: "the next calls", label: "How many", field: "times", start: 1, scale: 1 },
  { name: "every k-th call", label: "k", field: "every", start: 3, scale: 1 },
  { name: "a share of the calls", label: "Percent", field: "share", start: 20, scale: 0.01 },
  { name: "all, for a time (outage)", label: "Seconds", field: "for_s", start: 60, scale: 1 },
];

/** What a fault does, in words. */
export function what(fault) {
  const words = {
    status: `answers ${fault.status}`,
    slow: `late by ${duration(fault.delay_ms)}`,
    first_byte: `late by ${duration(fault.delay_ms)}`,
    slow_stream: fault.factor
      ? `stream ${fault.factor} times as slow` : `stream: ${duration(fault.delay_ms)} more a token`,
    latency: `${fault.factor} times as slow`,
    cut: "cut in the middle",
    reset: "connection reset",
    drop: "connection closed",
  };
  const retry = isNone(fault.retry_after_s) ? "" : `, retry after ${fault.retry_after_s} s`;
  return (words[fault.kind] ?? fault.kind) + retry;
}

/** Which calls it hits, in words. */
export function which(fault) {
  const parts = [];
  if (fault.every) parts.push(`one in ${count(fault.every)} calls`);
  if (!isNone(fault.share)) parts.push(`${percent(fault.share, 1)} of the calls`);
  if (fault.contains) parts.push(`those that contain “${fault.contains}”`);
  if (fault.operation) parts.push(`only ${fault.operation}`);
  if (fault.starts_in_s > 0) parts.push(`from in ${count(fault.starts_in_s)} s`);
  return parts.join(", ") || "every call";
}

/** When it ends, in words. */
export function until(fault) {
  const parts = [];
  if (!isNone(fault.times_left)) parts.push(`${count(fault.times_left)} more`);
  if (!isNone(fault.ends_in_s)) parts.push(`${count(Math.ceil(fault.ends_in_s))} s more`);
  return parts.join(", ") || "until it is removed";
}

function isNone(value) {
  return value === null || value === undefined;
}
