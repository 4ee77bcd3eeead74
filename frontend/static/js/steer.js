// The steering page: one slider, three columns written together from one seed. Moving the slider
// stops what is being written and starts again; the address always reproduces what is shown.

import { signed } from "./numbers.js";
import { events, Refused } from "./sse.js";
import { SteerColumns } from "./steer_columns.js";
import { columnStrengths, positionOf, strengthAt } from "./strength.js";

const PAUSE = 250;

export function init(form) {
  const state = JSON.parse(form.querySelector("[data-role=state]").textContent);
  const field = (name) => form.elements.namedItem(name);
  const part = (role) => form.querySelector(`[data-role=${role}]`);
  for (const name of ["sae", "feature"]) {
    field(name).addEventListener("change", () =>
      location.assign(
        addressOf(form, ["sae", "feature", "prompt", "seed", "temperature", "tokens"]),
      ),
    );
  }
  if (state.feature === null) return;

  const columns = new SteerColumns(part("columns"));
  const slider = part("slider");
  const readout = part("readout");
  const stop = part("stop");
  let timer = 0;
  let running = null;

  stop.hidden = false;
  slider.addEventListener("input", () => {
    field("strength").value = Number(strengthAt(slider.valueAsNumber, state.poles).toPrecision(6));
    restartSoon();
  });
  field("strength").addEventListener("input", () => {
    slider.value = positionOf(field("strength").valueAsNumber || 0, state.poles);
    restartSoon();
  });
  for (const name of ["prompt", "seed", "temperature", "tokens"]) {
    field(name).addEventListener("change", restartSoon);
  }
  stop.addEventListener("click", () => running?.abort("stopped"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  run();

  function restartSoon() {
    running?.abort("superseded");
    clearTimeout(timer);
    describe();
    timer = setTimeout(run, PAUSE);
  }

  function describe() {
    const strength = field("strength").valueAsNumber || 0;
    const position = positionOf(strength, state.poles);
    const glyph = position < 0 ? "−" : "+";
    readout.textContent = position
      ? `c = ${signed(strength)}, ${Math.abs(position).toFixed(2)} × the ${glyph} pole’s 99.9 % quantile`
      : "c = 0, exactly unsteered";
    slider.setAttribute("aria-valuetext", readout.textContent);
    columns.prepare(columnStrengths(position, state.poles), position);
    const address = addressOf(form);
    history.replaceState(null, "", address);
    const json = document.querySelector("footer [data-role=json]");
    if (json) json.href = address.replace("/steer?", "/steer.json?");
  }

  async function run() {
    clearTimeout(timer);
    running?.abort("superseded");
    describe();
    if (!form.reportValidity()) return;
    const mine = new AbortController();
    running = mine;
    stop.disabled = false;
    columns.start(field("prompt").value);
    try {
      for await (const { event, data } of events("/api/steer", request(), mine.signal)) {
        if (mine !== running) return;
        if (event === "token") columns.write(data);
        else if (event === "end") columns.end(data);
        else if (event === "error") throw new Refused(data.detail);
      }
      columns.finish();
    } catch (error) {
      if (mine === running) columns.fail(sentenceOf(error, mine.signal));
    } finally {
      if (mine === running) stop.disabled = true;
    }
  }

  function request() {
    const strengths = columns.rows.map((row) => row.strength);
    return {
      model: state.model_id,
      prompt: field("prompt").value,
      edits: [{ sae: state.sae, feature: state.feature, operation: "add" }],
      strengths,
      max_new_tokens: field("tokens").valueAsNumber,
      seed: field("seed").valueAsNumber,
      temperature: field("temperature").valueAsNumber,
    };
  }
}

function addressOf(form, names = null) {
  const parameters = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (!names || names.includes(name)) parameters.append(name, value);
  }
  return `/steer?${parameters}`;
}

function sentenceOf(error, signal) {
  if (signal.aborted) return signal.reason === "stopped" ? "Stopped." : "";
  if (error instanceof Refused) return error.message;
  return "The stream broke off. The model is probably restarting; press Run to try again.";
}
