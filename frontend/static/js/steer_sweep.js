// The sweep strip: nine strengths of the first feature in one batch, one line each. A line is a
// button that moves the slider there. The lines come from the same seed as the columns.

import { signed, spoken } from "./numbers.js";
import { events, Refused } from "./sse.js";
import { cell, Panel } from "./steer_panel.js";
import { strengthAt, sweepPositions } from "./strength.js";

const TOKENS = 24;

export class SweepPanel extends Panel {
  key() {
    const { edits, ...rest } = this.page.request();
    return { ...rest, edits: [{ ...edits[0], strength: 0 }, ...edits.slice(1)] };
  }

  async load(signal) {
    const first = this.page.edits[0].edit;
    const positions = sweepPositions(first);
    const lines = positions.map((position) => this.line(position));
    this.part("rows").replaceChildren(...lines.map((line) => line.item));
    this.mark();
    const request = {
      ...this.page.request(),
      strengths: positions.map((position) => strengthAt(position, first)),
    };
    request.max_new_tokens = Math.min(request.max_new_tokens, TOKENS);
    let ended = 0;
    for await (const { event, data } of events("/api/steer", request, signal)) {
      if (event === "queued") this.status.textContent = waiting(data.position);
      else if (event === "token") lines[data.row].text.append(data.text);
      else if (event === "end") ended += 1;
      else if (event === "error") throw new Refused(data.detail);
    }
    if (ended < lines.length) throw new Refused("The sweep broke off. Open this part again.");
    return `the first ${request.max_new_tokens} tokens of each`;
  }

  line(position) {
    const item = document.createElement("li");
    const button = cell("button", "");
    const name = cell(
      "span",
      signed(position, 1),
      position < 0 ? "num neg" : position ? "num pos" : "num",
    );
    const speech = cell("span", `Slider to ${spoken(position)}: `, "sr");
    const text = cell("span", "", "sweep-text");
    name.setAttribute("aria-hidden", "true");
    button.type = "button";
    button.dataset.position = position;
    button.append(name, speech, text);
    button.addEventListener("click", () => this.page.moveTo(position));
    item.append(button);
    return { item, text };
  }

  // Which line the slider stands on.
  mark() {
    const at = this.page.edits[0].position;
    for (const button of this.part("rows").querySelectorAll("button")) {
      const isHere = Math.abs(Number(button.dataset.position) - at) < 0.01;
      if (isHere) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }
}

function waiting(position) {
  return position ? `waiting: ${position} before you` : "writing…";
}
