// A folded part of the steering page: asks when it is opened and whenever what it depends on has
// changed meanwhile; a superseded question is dropped. Knows no particular question.

import { Refused } from "./sse.js";

export class Panel {
  constructor(details, page) {
    this.details = details;
    this.page = page;
    this.shown = null;
    this.pending = null;
    this.status = this.part("status");
    details.addEventListener("toggle", () => {
      page.describe();
      if (details.open) this.refresh();
      else this.drop();
    });
  }

  part(role) {
    return this.details.querySelector(`[data-role=${role}]`);
  }

  // What the answer depends on; null while there is nothing to ask.
  key() {
    return null;
  }

  // Nobody waits for what is folded away; opened again, it is asked for again.
  drop() {
    if (!this.pending) return;
    this.pending.abort("closed");
    this.pending = null;
    this.shown = null;
    this.status.textContent = "";
  }

  async refresh() {
    const key = this.details.open ? JSON.stringify(this.key()) : "null";
    if (key === "null" || key === this.shown) return;
    this.pending?.abort("superseded");
    const mine = new AbortController();
    this.pending = mine;
    this.shown = key;
    this.status.textContent = "asking the model…";
    try {
      const said = await this.load(mine.signal);
      if (mine !== this.pending) return;
      this.pending = null;
      this.status.textContent = said ?? "";
    } catch (error) {
      if (mine !== this.pending) return;
      this.shown = null;
      this.pending = null;
      this.status.textContent =
        error instanceof Refused
          ? error.message
          : "The server did not answer. Open this part again.";
    }
  }
}

export function cell(tag, text, className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}
