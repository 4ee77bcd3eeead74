// The steering page: sliders, and three columns written together from one seed. Moving a slider
// stops what is being written and starts again; the address always reproduces what is shown.

import { ask } from "./ask.js";
import { events, Refused } from "./sse.js";
import { Band } from "./steer_band.js";
import { SteerColumns } from "./steer_columns.js";
import { EditControls } from "./steer_edit.js";
import { LoopPanel } from "./steer_loop.js";
import { initShare } from "./steer_share.js";
import { ShiftPanel } from "./steer_shift.js";
import { SweepPanel } from "./steer_sweep.js";
import { WordsPanel } from "./steer_words.js";
import { columnRows } from "./strength.js";

const PAUSE = 250;
const PLAIN = { operation: "add", pole: "both", positions: "all", wanted: "", other: "" };
const PANELS = { sweep: SweepPanel, shift: ShiftPanel, loop: LoopPanel, words: WordsPanel };

export function init(form) {
  const state = JSON.parse(form.querySelector("[data-role=state]").textContent);
  for (const name of ["sae", "feature"]) {
    form.elements.namedItem(name).addEventListener("change", () => {
      location.assign(addressOf(form, ["strength", "operation", "pole"]));
    });
  }
  if (state.feature !== null) new Steering(form, state).start();
}

class Steering {
  constructor(form, state) {
    this.form = form;
    this.state = state;
    this.timer = 0;
    this.running = null;
    this.columns = new SteerColumns(this.part("columns"));
    this.stop = this.part("stop");
    const blocks = [...form.querySelectorAll("[data-role=edit]")];
    this.edits = blocks.map(
      (root, place) =>
        new EditControls(
          root,
          state.edits[place],
          () => this.restartSoon(),
          (fresh) => this.reload(fresh),
        ),
    );
    this.band = new Band(blocks[0], this);
    const folded = [...form.querySelectorAll("[data-role=panel]")];
    this.panels = folded
      .filter((details) => PANELS[details.dataset.name])
      .map((details) => new PANELS[details.dataset.name](details, this));
    initShare(
      folded.find((details) => details.dataset.name === "share"),
      this,
    );
    this.sweep = this.panels.find((panel) => panel instanceof SweepPanel);
  }

  start() {
    this.stop.hidden = false;
    this.stop.addEventListener("click", () => this.running?.abort("stopped"));
    for (const name of ["prompt", "seed", "temperature", "tokens", "positions"]) {
      this.field(name).addEventListener("change", () => this.restartSoon());
    }
    this.part("another-add").addEventListener("click", () => this.addAnother());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
    this.run();
  }

  part(role) {
    return this.form.querySelector(`[data-role=${role}]`);
  }

  field(name) {
    return this.form.elements.namedItem(name);
  }

  request() {
    return {
      model: this.state.model_id,
      prompt: this.field("prompt").value,
      edits: this.edits.map((controls) => controls.message),
      max_new_tokens: this.field("tokens").valueAsNumber,
      seed: this.field("seed").valueAsNumber,
      temperature: this.field("temperature").valueAsNumber,
      positions: this.field("positions").value,
    };
  }

  moveTo(position) {
    this.edits[0].moveTo(position);
    this.run();
  }

  // What is being written is not awaited any more: its end must not pass for that of what comes.
  supersede() {
    clearTimeout(this.timer);
    this.running?.abort("superseded");
    this.running = null;
    this.stop.disabled = true;
  }

  restartSoon() {
    this.supersede();
    this.describe();
    this.columns.expect();
    this.timer = setTimeout(() => this.run(), PAUSE);
  }

  describe() {
    for (const controls of this.edits) controls.describe();
    this.columns.prepare(columnRows(this.edits.map(({ edit }) => edit)), this.edits[0].position);
    this.band.forget();
    this.sweep.mark();
    const address = addressOf(this.form);
    // Only where it differs: it would call off a page that a link has begun to open.
    if (address !== location.pathname + location.search) history.replaceState(null, "", address);
    for (const link of document.querySelectorAll("[data-twin]")) {
      link.href = address.replace("/steer?", `${link.dataset.twin}?`);
    }
    for (const link of this.form.querySelectorAll("[data-role=remove]")) {
      link.href = addressWithout(address, Number(link.dataset.place));
    }
  }

  async run() {
    this.supersede();
    this.describe();
    if (!this.isValid()) {
      this.columns.finish();
      return;
    }
    const mine = new AbortController();
    this.running = mine;
    this.stop.disabled = false;
    this.say("");
    this.columns.start(this.field("prompt").value);
    this.readSizes();
    try {
      for await (const { event, data } of events("/api/steer", this.body(), mine.signal)) {
        if (mine !== this.running) return;
        if (event === "queued") this.columns.wait(data);
        else if (event === "token") this.columns.write(data);
        else if (event === "end") this.columns.end(data);
        else if (event === "error") throw new Refused(data.detail);
      }
      if (!this.columns.isWritten) throw new Error("the stream ended early");
      this.columns.finish();
    } catch (error) {
      if (mine === this.running) this.fail(error, mine.signal);
      return;
    } finally {
      if (mine === this.running) this.stop.disabled = true;
    }
    this.band.refresh();
    for (const panel of this.panels) panel.refresh();
  }

  // A reader who pressed Stop knows; whatever else is wrong is said once, above the columns.
  fail(error, signal) {
    this.columns.halt(signal.reason === "stopped" ? "Stopped." : "");
    if (!signal.aborted) this.say(sentenceOf(error));
  }

  say(problem) {
    const notice = this.part("problem");
    notice.hidden = !problem;
    notice.textContent = problem;
  }

  // One adding edit is the plain case, and asked for as anybody would.
  body() {
    const request = this.request();
    const rows = this.columns.rows.map((row) => row.strengths);
    if (request.edits.length > 1 || request.edits[0].operation !== "add")
      return { ...request, rows };
    return { ...request, strengths: rows.map(([strength]) => strength ?? 0) };
  }

  isValid() {
    for (const invalid of this.form.querySelectorAll(":invalid")) {
      const folded = invalid.closest("details");
      if (folded) folded.open = true; // a browser cannot point at what is folded away
    }
    return this.form.reportValidity();
  }

  async readSizes() {
    const { model, prompt, edits } = this.request();
    const key = JSON.stringify([prompt, edits.map(({ sae, feature }) => [sae, feature])]);
    if (key === this.sized) return;
    this.sized = key;
    try {
      const { sizes } = await ask("/api/sizes", { model, prompt, edits });
      if (key !== this.sized) return;
      for (const [index, controls] of this.edits.entries()) {
        controls.size = sizes[index];
        controls.describe();
      }
    } catch {
      this.sized = null; // the columns say what is wrong
    }
  }

  reload(fresh) {
    for (const controls of this.edits) {
      if (controls.value) controls.value.value = controls.text(controls === fresh);
    }
    location.assign(addressOf(this.form, fresh === this.edits[0] ? ["strength"] : []));
  }

  addAnother() {
    const feature = this.part("another-feature").valueAsNumber;
    if (!Number.isInteger(feature) || feature < 0) {
      this.part("another-feature").focus();
      return;
    }
    const address = new URL(addressOf(this.form), location.href);
    address.searchParams.append("edit", `${this.part("another-sae").value}.${feature}.add.0`);
    location.assign(address);
  }
}

function addressOf(form, dropped = []) {
  const parameters = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (!dropped.includes(name) && PLAIN[name] !== value) parameters.append(name, value);
  }
  const open = [...form.querySelectorAll("[data-role=panel][open]")].map(
    ({ dataset }) => dataset.name,
  );
  if (open.length) parameters.append("open", open.join("."));
  return `/steer?${parameters}`;
}

// The same without one edit; the first has no part of its own in the address.
function addressWithout(address, place) {
  const fresh = new URL(address, location.href);
  const edits = fresh.searchParams.getAll("edit").toSpliced(place - 1, 1);
  fresh.searchParams.delete("edit");
  for (const edit of edits) fresh.searchParams.append("edit", edit);
  return fresh.href;
}

function sentenceOf(error) {
  if (error instanceof Refused) return error.message;
  return "The stream broke off. The model is probably restarting; press Run to try again.";
}
