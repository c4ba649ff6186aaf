// A bar that shows how much of a limit is used, with the same in words beside it.

import { el, say } from "./dom.js";
import { percent } from "./format.js";

const NEARLY = 0.8;

/** A gauge called `label`; bring it up to date with `setGauge`. */
export function gauge(label) {
  const words = el("span", { className: "gauge-words" });
  const track = el("div", { className: "track", role: "meter", "aria-label": label, "aria-valuemin": 0 },
    el("div", { className: "fill" }));
  return el("div", { className: "gauge" },
    el("div", { className: "gauge-label" }, el("span", {}, label), words), track);
}

/** Show `used` of `limit`; `write` turns either into words. */
export function setGauge(element, used, limit, write) {
  const track = element.querySelector(".track");
  const words = `${write(used)} of ${write(limit)} (${percent(used, limit)})${note(used, limit)}`;
  say(element.querySelector(".gauge-words"), words);
  track.setAttribute("aria-valuemax", Math.max(limit, used));
  track.setAttribute("aria-valuenow", used);
  track.setAttribute("aria-valuetext", words);
  track.firstElementChild.style.width = `${limit ? Math.min(100, (100 * used) / limit) : 0}%`;
  element.dataset.level = used >= limit ? "full" : used >= NEARLY * limit ? "nearly" : "free";
}

function note(used, limit) {
  if (used >= limit) return used > limit ? ", over" : ", full";
  return used >= NEARLY * limit ? ", nearly full" : "";
}
