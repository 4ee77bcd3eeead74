// Cancellation bars: which features push one next word over another and which push back, along the
// direct path behind the prompt, unsteered. Bars + the rest = the difference of the two logits.

import { ask } from "./ask.js";
import { signed } from "./numbers.js";
import { cell, Panel } from "./steer_panel.js";

const BARS = 12;

export class WordsPanel extends Panel {
  constructor(details, page) {
    super(details, page);
    this.part("ask").addEventListener("click", () => this.refresh());
    for (const field of details.querySelectorAll("input")) {
      field.addEventListener("change", () => page.describe());
      field.addEventListener("keydown", (event) => {
        if (event.key !== "Enter") return;
        event.preventDefault(); // the form around it would write the texts again
        this.refresh();
      });
    }
  }

  key() {
    const { prompt, edits } = this.page.request();
    const [wanted, other] = ["wanted", "other"].map((name) => this.page.field(name).value.trim());
    return wanted && other ? { sae: edits[0].sae, text: prompt, wanted, other } : null;
  }

  async load(signal) {
    const body = this.key();
    const answer = await ask("/api/contributions", { ...body, limit: BARS }, signal);
    const features = answer.bars.map((bar) => ({
      name: bar.label || `feature ${bar.feature}`,
      url: `/sae/${body.sae}/feature/${bar.feature}`,
      title: `feature ${bar.feature}, activation ${signed(bar.activation)} on the last token`,
      value: bar.contribution,
    }));
    const rest = [
      ["all other features", answer.rest],
      ["error (what the SAE leaves out)", answer.error],
      ["biases", answer.bias],
      ["later layers", answer.later],
      ["logit difference", answer.total],
    ].map(([name, value]) => ({ name, value, isTotal: name === "logit difference" }));
    const lines = [...features, ...rest];
    const scale = Math.max(...lines.map((line) => Math.abs(line.value)), 1e-9);
    this.part("rows").replaceChildren(...lines.map((line) => row(line, scale)));
    const side = answer.total > 0 ? `for “${answer.wanted}”` : `for “${answer.other}”`;
    return `${signed(answer.total)} nats ${side}; + pushes towards “${answer.wanted}”, − towards “${answer.other}”. They add up to the last line.`;
  }
}

function row({ name, url, title = "", value, isTotal }, scale) {
  const element = document.createElement("tr");
  if (isTotal) element.className = "total";
  const head = cell("th", url ? "" : name);
  head.scope = "row";
  head.title = title;
  if (url) {
    const link = cell("a", name);
    link.href = url;
    head.append(link);
  }
  const bar = cell("span", "", value < 0 ? "bar neg-bar" : "bar pos-bar");
  bar.style.width = `${(50 * Math.abs(value)) / scale}%`;
  const plot = cell("td", "", "diverging");
  plot.append(bar);
  element.append(head, plot, cell("td", signed(value), value < 0 ? "num neg" : "num pos"));
  return element;
}
