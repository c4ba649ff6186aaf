// A class on one server: a line for each student, and the way to their console.

import { ask } from "./api.js";
import { connected } from "./connection.js";
import { byId, el, keyed, row, say, table } from "./dom.js";
import { count, plain, timeOf, usd } from "./format.js";
import * as key from "./key.js";
import { openDoor } from "./signin.js";

const COLUMNS = [
  { text: "Student" }, { text: "Requests", number: true }, { text: "Tokens in", number: true },
  { text: "Tokens out", number: true }, { text: "Cost (USD)", number: true }, { text: "Last seen" },
];

/** The view of a class server's root. */
export class Classroom {
  constructor() {
    this.table = table("One local Azure for each student. A name leads to its console.", COLUMNS);
    byId("classroom").querySelector(".scroll").append(this.table);
    byId("where").textContent = "Class server";
  }

  /** Ask and show, if `isWanted()` still holds then. */
  async refresh(isWanted) {
    const { students } = await ask("class");
    if (!isWanted()) return;
    openDoor("classroom");
    connected("admin");
    keyed(this.table.tBodies[0], students, ({ student }) => student, create, update);
    const seen = students.filter(({ last_seen: at }) => at).length;
    const spent = students.reduce((sum, { spend_usd: cost }) => sum + cost, 0);
    say(byId("classroom-sum"),
      `${count(students.length)} students, ${count(seen)} seen so far; together ${usd(spent)}.`);
  }

  /** Nothing is kept here between refreshes. */
  forget() {}
}

function create({ student }) {
  const link = el("a", { href: `class/${encodeURIComponent(student)}/` }, plain(student, 64));
  // The same tab keeps the secret for the page it leads to: an address never holds it.
  link.addEventListener("click", () => key.lend(link.pathname));
  return row(COLUMNS, [link, "", "", "", "", ""]);
}

function update(line, found) {
  const texts = [count(found.calls), count(found.prompt_tokens), count(found.completion_tokens), usd(found.spend_usd),
    found.last_seen ? timeOf(Date.parse(found.last_seen) / 1000) : "not yet"];
  texts.forEach((text, index) => say(line.cells[index + 1], text));
}
