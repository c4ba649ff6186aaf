// The fault switches: what is set, and for who holds the admin secret, a form to set more and to take back.

import { ask } from "./api.js";
import { byId, el, keyed, row, say, table } from "./dom.js";
import { KINDS, REACHES, until, what, which } from "./faultkinds.js";
import { plain } from "./format.js";

const COLUMNS = [
  { text: "Fault", nowrap: true }, { text: "What happens" }, { text: "Deployment" }, { text: "Which calls" },
  { text: "How long" }, { text: "Set by" }, { text: "" },
];

/** The section with the switches. `changed` is called after each of its changes. */
export class Faults {
  constructor(changed) {
    this.changed = changed;
    this.table = table("Faults that wait for calls", COLUMNS);
    this.empty = el("p", { className: "empty" }, "No fault is set: every deployment answers as it should.");
    this.clear = button("Clear all", () => this.remove("faults"));
    byId("faults-list").append(this.table, this.clear, this.empty);
    this.kind = choice("What happens", "fault-kind", KINDS.map(({ name }) => name));
    this.value = number("", "fault-value");
    this.deployment = choice("To calls of", "fault-deployment", ["all deployments"]);
    this.reach = choice("Which of them", "fault-reach", REACHES.map(({ name }) => name));
    this.amount = number("", "fault-amount");
    byId("faults-form").append(this.kind, this.value, this.deployment, this.reach, this.amount,
      el("button", { type: "submit", className: "primary" }, "Set fault"));
    this.listen();
  }

  listen() {
    input(this.kind).addEventListener("change", () => this.offer());
    input(this.reach).addEventListener("change", () => this.offer());
    byId("faults-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(() => ask("faults", { method: "POST", document: this.asked() }));
    });
    this.table.addEventListener("click", ({ target }) => {
      const id = target.dataset.remove;
      if (id) this.remove(`faults/${encodeURIComponent(id)}`);
    });
    this.offer();
  }

  /** Show the fields that the chosen kind and reach need, with a number to begin with. */
  offer() {
    const { value } = KINDS[input(this.kind).selectedIndex];
    this.value.hidden = value === undefined;
    input(this.value).disabled = this.value.hidden;
    if (value) {
      say(this.value.firstElementChild, value[0]);
      input(this.value).value = value[2];
    }
    const { label, start } = REACHES[input(this.reach).selectedIndex];
    say(this.amount.firstElementChild, label);
    input(this.amount).value = start;
  }

  /** The fault in the form, as the API takes it. */
  asked() {
    const { fault, value } = KINDS[input(this.kind).selectedIndex];
    const { field, scale } = REACHES[input(this.reach).selectedIndex];
    const asked = { ...fault, [field]: Number(input(this.amount).value) * scale };
    if (value) asked[value[1]] = Number(input(this.value).value);
    const { selectedIndex, value: deployment } = input(this.deployment);
    if (selectedIndex > 0) asked.deployment = deployment;
    return asked;
  }

  remove(path) {
    return this.send(() => ask(path, { method: "DELETE" }));
  }

  async send(change) {
    try {
      await change();
      say(byId("faults-error"), "");
      await this.changed();
    } catch (problem) {
      say(byId("faults-error"), plain(problem.message));
    }
  }

  /** Show the waiting faults; `caller` decides whether they can be changed here. */
  show(faults, { accounts, caller }) {
    const isTeacher = caller === "admin";
    byId("faults-form").hidden = !isTeacher;
    byId("faults-locked").hidden = isTeacher;
    this.name(accounts.flatMap(({ deployments }) => deployments.map(({ name }) => name)));
    keyed(this.table.tBodies[0], faults, ({ id }) => `${id} ${caller}`, () => create(isTeacher), update);
    this.table.hidden = faults.length === 0;
    this.empty.hidden = faults.length > 0;
    this.clear.hidden = !isTeacher || faults.length === 0;
  }

  /** Offer these deployments, keeping the choice. */
  name(deployments) {
    keyed(input(this.deployment), ["all deployments", ...new Set(deployments)], (name) => name,
      (name) => el("option", { value: name }, name), () => {});
  }
}

function create(isTeacher) {
  const remove = isTeacher ? button("Remove", () => {}) : "";
  return row(COLUMNS, [...COLUMNS.slice(1).map(() => ""), remove]);
}

function update(line, fault) {
  const texts = [fault.id, what(fault), fault.deployment ?? "all", which(fault), until(fault),
    fault.by === "admin" ? "teacher" : "lab"];
  texts.forEach((text, index) => say(line.cells[index], plain(text, 120)));
  const remove = line.querySelector("button");
  if (!remove) return;
  remove.dataset.remove = fault.id;
  remove.setAttribute("aria-label", `Remove fault ${fault.id}`);
}

function button(text, pressed) {
  const made = el("button", { type: "button" }, text);
  made.addEventListener("click", pressed);
  return made;
}

function choice(label, id, names) {
  const options = names.map((name) => el("option", { value: name }, name));
  return el("label", {}, el("span", {}, label), el("select", { id }, ...options));
}

function number(label, id) {
  const field = el("input", { id, type: "number", min: 0, step: "any", required: true });
  return el("label", {}, el("span", {}, label), field);
}

function input(label) {
  return label.lastElementChild;
}
