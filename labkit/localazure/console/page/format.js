// Numbers with their units, times, and texts by strangers, as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

// What would hide in a line of text or turn its direction round.
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;

/** A whole number with thousands marked; a dash for none. */
export function count(value) {
  return value === null || value === undefined ? "–" : whole.format(value);
}

/** A large number in a few characters: 1.2M. */
export function compact(value) {
  return value < 100_000 ? whole.format(value) : short.format(value);
}

/** US dollars; small amounts with more decimals. */
export function usd(value) {
  if (value === null || value === undefined) return "–";
  if (value > 0 && value < 0.0001) return "<$0.0001";
  const decimals = value !== 0 && Math.abs(value) < 1 ? 4 : 2;
  return `$${value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals })}`;
}

/** Milliseconds, as seconds from one second on. */
export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms < 1000 ? `${whole.format(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

/** Milliseconds on an axis: without decimals that say nothing. */
export function seconds(ms) {
  if (ms === 0) return "0";
  return ms < 1000 ? `${whole.format(ms)} ms` : `${Number((ms / 1000).toPrecision(3))} s`;
}

/** A share of a whole; less than half a percent is not called none. */
export function percent(part, all) {
  if (!all) return "0%";
  const share = (100 * part) / all;
  return share > 0 && share < 0.5 ? "<1%" : `${whole.format(share)}%`;
}

/** The time of day, in this browser's time zone, of seconds since 1970. */
export function timeOf(seconds) {
  return clock.format(seconds * 1000);
}

/** Hours and minutes. */
export function minuteOf(seconds) {
  return minute.format(seconds * 1000);
}

/** Day and time. */
export function dateOf(seconds) {
  return date.format(seconds * 1000);
}

/** Text by a stranger: cut to `limit` characters, with what is invisible or turns the line round written out. */
export function plain(text, limit = 500) {
  const given = String(text);
  const kept = given.length > limit ? `${given.slice(0, limit)}… (${count(given.length)} characters)` : given;
  return kept.replace(INVISIBLE, (found) => `\\u${found.codePointAt(0).toString(16).padStart(4, "0")}`);
}
