// Next-token shift: per strength of the first feature the KL to the unsteered model and the words
// that become more and less likely, and whether −x does the opposite of +x.

import { ask } from "./ask.js";
import { MINUS, signed, visible } from "./numbers.js";
import { cell, Panel } from "./steer_panel.js";
import { strengthAt, sweepPositions } from "./strength.js";

const WORDS = 5;

export class ShiftPanel extends Panel {
  key() {
    const { model, prompt, edits, positions } = this.page.request();
    return { model, prompt, positions, edits: [{ ...edits[0], strength: 0 }, ...edits.slice(1)] };
  }

  async load(signal) {
    const first = this.page.edits[0].edit;
    const positions = sweepPositions(first);
    const answer = await ask(
      "/api/shift",
      {
        ...this.key(),
        strengths: positions.map((position) => strengthAt(position, first)),
        limit: WORDS,
      },
      signal,
    );
    this.part("rows").replaceChildren(
      ...answer.rows.map((row, index) => line(row, positions[index])),
    );
    this.part("oddness").textContent = await this.oddness(first, signal);
    return "";
  }

  // The quantiles of the poles differ, so the pairs ±c are asked for by one common size.
  async oddness(first, signal) {
    const sizes = ["-", "+"].map((pole) => Math.abs(first.poles[pole].quantile_999));
    if (first.operation !== "add" || !sizes[0] || !sizes[1]) {
      return "Oddness compares −c with +c: it needs operation add and a feature with two poles.";
    }
    const size = Math.min(...sizes);
    const steps = [0.5, 1, 2];
    const strengths = steps.flatMap((step) => [-step * size, step * size]);
    const answer = await ask("/api/shift", { ...this.key(), strengths, limit: 1 }, signal);
    const parts = answer.oddness.map(
      ({ size: c, value }) =>
        `${value === null ? "no effect" : signed(value)} at c = ±${c.toFixed(2)}`,
    );
    return `Oddness ${parts.join(", ")}. +1: −c does exactly the opposite of +c; 0: something unrelated; ${MINUS}1: both do the same, which is damage rather than an axis.`;
  }
}

function line(row, position) {
  const element = document.createElement("tr");
  const side = position < 0 ? "num neg" : position ? "num pos" : "num";
  const head = cell("th", signed(position, 1), side);
  head.scope = "row";
  element.append(
    head,
    cell("td", row.kl.toFixed(2), "num"),
    words(row.promoted),
    words(row.suppressed),
  );
  return element;
}

function words(entries) {
  const column = document.createElement("td");
  for (const entry of entries) {
    const word = cell("code", visible(entry.token));
    word.title = `p = ${entry.probability.toPrecision(2)}, Δ log p = ${signed(entry.change)} nats`;
    const change = cell("span", ` ${signed(entry.change, 1)} `, "faint small");
    column.append(word, change);
  }
  if (!entries.length) column.textContent = "–";
  return column;
}
