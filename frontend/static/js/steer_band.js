// The safe band of the first feature on this prompt and seed: drawn on its slider, and said in
// words with the reason on either side. Measured shortly after the texts have been written.

import { ask } from "./ask.js";
import { signed } from "./numbers.js";
import { Refused } from "./sse.js";
import { strengthAt, sweepPositions } from "./strength.js";

const STEPS = [0.5, 1, 2, 3, 4];
const TOKENS = 40;

export class Band {
  constructor(root, page) {
    this.strip = root.querySelector("[data-role=band]");
    this.note = root.querySelector("[data-role=band-note]");
    this.slider = root.querySelector("[data-role=slider]");
    this.page = page;
    this.shown = null;
    this.pending = null;
  }

  get body() {
    const { model, prompt, edits, seed, temperature, positions, max_new_tokens } =
      this.page.request();
    const tokens = Math.max(4, Math.min(TOKENS, max_new_tokens));
    return { model, prompt, seed, temperature, positions, tokens, edit: { ...edits[0], strength: 0 } };
  }

  // What is drawn belongs to another prompt, seed or feature.
  forget() {
    if (this.shown === JSON.stringify(this.body)) return;
    this.pending?.abort("superseded");
    this.shown = null;
    this.strip.hidden = true;
    // Its place is kept: what lies below must not move away under a pointer that is being pressed.
    this.note.classList.add("stale");
  }

  async refresh() {
    const first = this.page.edits[0].edit;
    const key = JSON.stringify(this.body);
    if (first.operation !== "add") this.say("");
    if (first.operation !== "add" || key === this.shown) return;
    this.pending = new AbortController();
    const mine = this.pending;
    const ends = sweepPositions(first);
    const [low, high] = [ends[0], ends[8]];
    const positions = [...STEPS.map((step) => -step), ...STEPS].filter(
      (p) => p >= low && p <= high,
    );
    this.say("measuring how far it is safe to go…");
    this.shown = key;
    try {
      const strengths = positions.map((position) => strengthAt(position, first));
      const answer = await ask("/api/band", { ...this.body, strengths }, mine.signal);
      this.draw(answer, first);
    } catch (error) {
      if (mine.signal.aborted) return;
      this.shown = null;
      this.say(error instanceof Refused ? error.message : "");
    }
  }

  say(text) {
    this.note.classList.remove("stale");
    this.note.textContent = text;
  }

  draw(answer, first) {
    const positionOf = (strength) => (strength ? strength / scale(strength, first) : 0);
    const [low, high] = [Number(this.slider.min), Number(this.slider.max)];
    const share = (position) => `${(100 * (position - low)) / (high - low)}%`;
    const [from, to] = [positionOf(answer.low), positionOf(answer.high)];
    this.strip.style.left = share(from);
    this.strip.style.right = `calc(100% - ${share(to)})`;
    this.strip.hidden = false;
    const sides = [];
    if (low < 0) sides.push(edge(answer, "-", from));
    if (high > 0) sides.push(edge(answer, "+", to));
    const range =
      from === to ? "Nothing but 0 is safe" : `Safe from ${signed(from, 1)} to ${signed(to, 1)}`;
    this.say(`${range} on this prompt and seed. ${sides.filter(Boolean).join(" ")}`);
  }
}

function scale(strength, edit) {
  return Math.abs(edit.poles[strength > 0 ? "+" : "-"].quantile_999);
}

// Why the first strength beyond the edge is not safe; nothing where the slider ends first.
function edge(answer, pole, at) {
  const isBeyond = (row) => (pole === "+" ? row.strength > answer.high : row.strength < answer.low);
  const beyond = answer.rows.filter(isBeyond);
  const first = pole === "+" ? beyond[0] : beyond.at(-1);
  if (!first) return "";
  const { limits, rows } = answer;
  const unsteered = rows.find((row) => row.strength === 0);
  const reasons = [];
  if (first.kl > limits.kl)
    reasons.push(`the next token is far off (KL ${first.kl.toFixed(1)} nats)`);
  if (first.loss_rise > limits.loss) {
    reasons.push(
      `the model finds its own text unlikely (loss ${signed(first.loss_rise, 1)} nats a token)`,
    );
  }
  const repeated = first.repetition - unsteered.repetition;
  if (repeated > limits.repetition)
    reasons.push(`it repeats itself (3-grams ${signed(100 * repeated, 0)} %)`);
  return `Beyond ${signed(at, 1) === "0" ? `0 on the ${pole === "+" ? "+" : "−"} side` : signed(at, 1)} ${reasons.join(" and ")}.`;
}
