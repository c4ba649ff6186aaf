// The local Azure's clock: minutes and days that pass at once, so that a class sees its alerts and budgets move.

import { ask } from "./api.js";
import { byId, el, say } from "./dom.js";
import { dateOf, plain } from "./format.js";

const STEPS = [["1 minute", 60], ["5 minutes", 300], ["15 minutes", 900], ["1 hour", 3_600], ["1 day", 86_400]];

/** Offer to let time pass; `changed` is called when it has. */
export function watchClock(changed) {
  const steps = byId("clock-step");
  steps.append(...STEPS.map(([name, seconds]) => el("option", { value: String(seconds) }, name)));
  byId("clock-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const { now_s: now } = await ask("clock", { method: "POST", document: { advance_s: Number(steps.value) } });
      say(byId("clock-news"), `It is now ${dateOf(now)} there.`);
      changed();
    } catch (problem) {
      say(byId("clock-news"), plain(problem.message));
    }
  });
}
