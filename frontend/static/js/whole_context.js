// The whole text of a context gets its values when it is opened: the page holds the text, the
// feature's JSON holds every token's activation and is read once, for the first one opened.

import { render } from "./token_strip.js";

const LISTS = { extreme: "contexts", mean: "contexts_by_mean" };

export function init(section) {
  const special = new Set(JSON.parse(section.dataset.special));
  let view = null;

  // `toggle` does not bubble, so it is caught on its way down.
  section.addEventListener("toggle", ({ target }) => colour(target), true);
  for (const opened of section.querySelectorAll("details.context[open]")) colour(opened);

  async function colour(details) {
    const strip = details.open ? details.querySelector(".strip[data-rank]") : null;
    if (!strip) return;
    view ??= load(section.dataset.url);
    const feature = await view;
    if (!feature) {
      view = null; // so that opening it again asks again
      details.querySelector("[data-role=said]").textContent =
        "The values of this text could not be loaded. Close it and open it again to try once more.";
      return;
    }
    const { pole, rank } = strip.dataset;
    const kind = LISTS[details.closest("ol").dataset.by];
    const context = feature.poles[pole][kind][rank];
    const specials = context.token_ids.map((id) => special.has(id));
    delete strip.dataset.rank;
    details.querySelector("[data-role=said]").textContent = "";
    render(strip, context.tokens, context.activations, specials, null, context.position);
  }
}

async function load(url) {
  const response = await fetch(url).catch(() => null);
  return response?.ok ? response.json() : null;
}
