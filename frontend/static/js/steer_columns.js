// The three columns of the steering page: which row of the stream goes where, and how it is
// written. Knows no network. Text a column shares with the unsteered one, from its start, is faint.

import { signed } from "./numbers.js";

export class SteerColumns {
  constructor(root) {
    this.root = root;
    this.rows = [];
    this.tokens = [];
    this.ended = 0;
    this.parts = new Map();
    for (const column of root.querySelectorAll("[data-column]")) {
      const part = (role) => column.querySelector(`[data-role=${role}]`);
      this.parts.set(column.dataset.column, {
        column,
        output: part("output"),
        note: part("note"),
        strength: part("strength"),
        missing: part("note").textContent,
      });
    }
  }

  prepare(rows, position) {
    this.rows = rows;
    for (const [name, { column, strength }] of this.parts) {
      const row = rows.find((entry) => entry.column === name);
      column.classList.toggle("missing", !row);
      const chosen = position < 0 ? "-" : "+";
      column.classList.toggle("chosen", position !== 0 && name === chosen);
      strength.textContent =
        row && name !== "0" ? `c = ${row.strengths.map(shown).join(", ")}` : "";
    }
  }

  // Something new is about to be written.
  expect() {
    this.ended = 0;
    this.root.setAttribute("aria-busy", "true");
  }

  start(prompt) {
    this.tokens = this.rows.map(() => []);
    this.expect();
    for (const { output, note, missing } of this.parts.values()) {
      const before = document.createElement("span");
      before.className = "same";
      before.textContent = prompt;
      output.replaceChildren(before);
      note.textContent = missing || "writing…";
    }
  }

  wait({ position }) {
    for (const { note, missing } of this.parts.values()) {
      if (!missing) note.textContent = position ? `waiting: ${position} before you` : "next…";
    }
  }

  write({ row, token_id, text }) {
    const span = document.createElement("span");
    span.textContent = text;
    this.partOf(row).output.append(span);
    this.tokens[row].push({ token_id, span });
    this.markShared();
  }

  // Every row has come to its end.
  get isWritten() {
    return this.rows.length > 0 && this.ended === this.rows.length;
  }

  end({ row, reason }) {
    this.ended += 1;
    const count = this.tokens[row].length;
    this.partOf(row).note.textContent =
      reason === "end_of_text" ? `${count} tokens, the model ended the text` : `${count} tokens`;
  }

  finish() {
    this.root.setAttribute("aria-busy", "false");
  }

  // Why the texts end here, in the columns' own notes.
  halt(sentence) {
    this.finish();
    for (const index of this.rows.keys()) this.partOf(index).note.textContent = sentence;
  }

  partOf(row) {
    return this.parts.get(this.rows[row].column);
  }

  markShared() {
    const unsteered = this.tokens[this.rows.findIndex((row) => row.column === "0")];
    for (const [index, row] of this.rows.entries()) {
      if (row.column === "0") continue;
      let shared = true;
      for (const [place, token] of this.tokens[index].entries()) {
        const other = unsteered[place];
        if (other) shared = shared && other.token_id === token.token_id;
        token.span.classList.toggle("same", shared);
      }
    }
  }
}

function shown(strength) {
  return strength === null ? "left out" : signed(strength);
}
