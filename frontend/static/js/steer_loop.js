// Closed loop: the texts of the columns go back into the model, and the first feature's activation
// is laid over their tokens: as the unsteered model reads them, or as it was while they were written.

import { ask } from "./ask.js";
import { signed } from "./numbers.js";
import { cell, Panel } from "./steer_panel.js";
import { render } from "./token_strip.js";

export class LoopPanel extends Panel {
  constructor(details, page) {
    super(details, page);
    this.kind = "reread";
    this.answers = [];
    for (const button of details.querySelectorAll("[data-loop]")) {
      button.addEventListener("click", () => this.choose(button));
    }
  }

  key() {
    const { isWritten, rows, tokens } = this.page.columns;
    if (!isWritten) return null;
    return {
      request: this.page.request(),
      rows,
      ids: tokens.map((row) => row.map((t) => t.token_id)),
    };
  }

  async load(signal) {
    const { request, rows, ids } = this.key();
    const { model, prompt, edits, positions } = request;
    this.answers = await Promise.all(
      rows.map(async (row, index) => ({
        row,
        answer: await ask(
          "/api/reread",
          { model, prompt, positions, token_ids: ids[index], edits: inRow(edits, row.strengths) },
          signal,
        ),
      })),
    );
    this.draw();
    return "";
  }

  choose(button) {
    this.kind = button.dataset.loop;
    for (const other of this.details.querySelectorAll("[data-loop]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    this.draw();
  }

  draw() {
    const values = this.answers.flatMap(({ answer }) => answer[this.kind]);
    const scale = Math.max(0, ...values.map(Math.abs));
    this.part("rows").replaceChildren(
      ...this.answers.map(({ row, answer }) => this.column(row, answer, scale)),
    );
  }

  column(row, answer, scale) {
    const section = document.createElement("section");
    const strip = cell("p", "", "strip");
    render(strip, answer.tokens, answer[this.kind], answer.special, scale);
    const written = answer[this.kind].slice(answer.written_from);
    const mean = written.reduce((sum, value) => sum + value, 0) / Math.max(1, written.length);
    const glyph = { "-": "−", 0: "0", "+": "+" }[row.column];
    section.append(
      cell("h3", glyph, { "-": "neg", 0: "", "+": "pos" }[row.column]),
      strip,
      cell("p", `mean over the written tokens ${signed(mean)}`, "small quiet"),
    );
    return section;
  }
}

// The row's edits; the first is watched even where the row leaves it out.
function inRow(edits, strengths) {
  const kept = edits.map((edit, index) => ({ ...edit, strength: strengths[index] }));
  const [first, ...others] = kept;
  const watched =
    first.strength === null ? { ...first, operation: "add", pole: "both", strength: 0 } : first;
  return [watched, ...others.filter((edit) => edit.strength !== null)];
}
