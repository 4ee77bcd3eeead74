// The test box of the feature page: signed activations of this one feature on a text, live. The
// text goes into the address, and into that of the links that keep it.

import { keep } from "./address.js";
import { signed } from "./numbers.js";
import { render } from "./token_strip.js";

const PAUSE = 250;

export function init(form) {
  const field = form.querySelector("textarea");
  const result = form.querySelector("[data-role=result]");
  let timer = 0;
  let pending = null;

  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(read, PAUSE);
  });
  // What the address brought, and what was typed before this module arrived, counts too.
  if (field.value.trim()) read();

  async function read() {
    pending?.abort();
    keep("text", field.value.trim() && field.value);
    if (!field.value.trim()) {
      result.replaceChildren();
      return;
    }
    pending = new AbortController();
    try {
      const response = await fetch("/api/prompt", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(request()),
        signal: pending.signal,
      });
      const answer = await response.json();
      if (response.ok) show(answer);
      else result.textContent = answer.detail;
    } catch (error) {
      if (error.name === "AbortError") return;
      result.textContent = "The server did not answer. Check that it is running, then try again.";
    }
  }

  function request() {
    const feature = Number(form.dataset.feature);
    return { sae: Number(form.dataset.sae), text: field.value, limit: 1, features: [feature] };
  }

  function show(answer) {
    const feature = Number(form.dataset.feature);
    const row = answer.features.find((entry) => entry.feature === feature);
    const flip = Number(form.dataset.flip);
    const values = answer.tokens.map((_, index) => (row?.activations[index] ?? 0) * flip || 0);
    const strip = document.createElement("p");
    const summary = document.createElement("p");
    strip.className = "strip";
    summary.className = "small quiet";
    render(strip, answer.tokens, values, answer.special);
    const low = Math.min(0, ...values);
    const high = Math.max(0, ...values);
    summary.textContent =
      low || high ? `from ${signed(low)} to ${signed(high)}` : "This feature does not fire on it.";
    result.replaceChildren(strip, summary);
  }
}
