// The three columns of the steering page: which row of the stream goes where, and how it is
// written. Knows no network. Text a column shares with the unsteered one, from its start, is faint.

import { signed } from "./numbers.js";

export class SteerColumns {
  constructor(root) {
    this.root = root;
    this.rows = [];
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
      strength.textContent = row ? `c = ${signed(row.strength)}` : "";
    }
  }

  start(prompt) {
    this.tokens = this.rows.map(() => []);
    this.root.setAttribute("aria-busy", "true");
    for (const { output, note, missing } of this.parts.values()) {
      const before = document.createElement("span");
      before.className = "same";
      before.textContent = prompt;
      output.replaceChildren(before);
      note.textContent = missing || "writing…";
    }
  }

  write({ row, token_id, text }) {
    const span = document.createElement("span");
    span.textContent = text;
    this.partOf(row).output.append(span);
    this.tokens[row].push({ token_id, span });
    this.markShared();
  }

  end({ row, reason }) {
    const count = this.tokens[row].length;
    this.partOf(row).note.textContent =
      reason === "end_of_text" ? `${count} tokens, the model ended the text` : `${count} tokens`;
  }

  finish() {
    this.root.setAttribute("aria-busy", "false");
  }

  fail(sentence) {
    this.finish();
    if (!sentence) return;
    for (const [index] of this.rows.entries()) {
      const { note } = this.partOf(index);
      note.textContent = sentence;
    }
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
