// The map of decoder rows. Plotly draws; this file says what is drawn, follows the search field,
// and lists what is lassoed. Colours come from the page's own variables, so both themes fit.

import { reader } from "./colours.js";
import { colourOf, hoverText, markersOf } from "./map_marks.js";
import { showSelection } from "./map_selection.js";

// Named one by one: the default set offers to share the chart through a service elsewhere.
const BUTTONS = ["toImage", "zoom2d", "pan2d", "select2d", "lasso2d", "resetScale2d"];

export async function init(section) {
  const part = (role) => section.querySelector(`[data-role=${role}]`);
  const form = section.querySelector("form");
  const answer = await fetch(section.dataset.url).catch(() => null);
  if (!answer?.ok || !globalThis.Plotly) {
    part("status").textContent = "The map could not be loaded. Reload the page to try again.";
    return;
  }
  const data = columnsOf(await answer.json());
  const plot = part("plot");
  const address = new URL(location.href);

  await draw();
  plot.on("plotly_click", ({ points }) => {
    const index = points[0].customdata;
    location.assign(`/sae/${section.dataset.sae}/feature/${data.features[index]}`);
  });
  plot.on("plotly_selected", (event) => {
    const chosen = (event?.points ?? []).filter((point) => point.curveNumber === 0);
    showSelection(
      section,
      data,
      chosen.map((point) => point.pointIndex),
    );
  });
  plot.on("plotly_deselect", () => showSelection(section, data, []));
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("themechange", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  async function update() {
    for (const name of ["search", "colour"]) {
      const { value } = form.elements.namedItem(name);
      if (value) address.searchParams.set(name, value);
      else address.searchParams.delete(name);
    }
    history.replaceState(null, "", address);
    await draw();
  }

  async function draw() {
    const found = matches(data, form.elements.namedItem("search").value);
    const linked = data.features.indexOf(Number(address.searchParams.get("feature") ?? -1));
    const colour = form.elements.namedItem("colour").value;
    const style = reader(section);
    await Plotly.react(plot, traces(data, colour, found, linked, style), layout(style), {
      displaylogo: false,
      responsive: true,
      scrollZoom: true,
      modeBarButtons: [BUTTONS],
    });
    style.close();
    part("legend").textContent = colourOf(colour).legend;
    const total = data.features.length.toLocaleString("en");
    const query = form.elements.namedItem("search").value.trim();
    part("status").textContent = query
      ? `${found.length} of ${total} features match “${query}”.`
      : `${total} features. Click opens one; drag a lasso to list several.`;
  }
}

function columnsOf({ columns }) {
  return { ...columns, features: columns.feature, balance: columns.pole_balance };
}

function matches(data, text) {
  const query = text.trim().toLowerCase();
  if (!query) return [];
  const hit = (index) =>
    String(data.features[index]) === query ||
    data.label_neg[index].toLowerCase().includes(query) ||
    data.label_pos[index].toLowerCase().includes(query);
  return data.features.map((_, index) => index).filter(hit);
}

function traces(data, colour, found, linked, style) {
  const type = hasWebGl() ? "scattergl" : "scatter";
  const all = data.features.map((_, index) => index);
  const points = (indices, extra) => ({
    type,
    mode: "markers",
    x: indices.map((index) => data.x[index]),
    y: indices.map((index) => data.y[index]),
    customdata: indices,
    hoverlabel: { align: "left" },
    text: indices.map((index) => hoverText(data, index)),
    hovertemplate: "%{text}<extra></extra>",
    ...extra,
  });
  const ring = (indices, size) =>
    points(indices, {
      hoverinfo: "skip",
      hovertemplate: null,
      marker: { size, symbol: "circle-open", color: style.colour("--focus"), line: { width: 2 } },
    });
  const marker = {
    size: data.features.length > 4000 ? 4 : 7,
    opacity: found.length ? 0.25 : 0.9,
    ...markersOf(data, colour, style),
  };
  const base = points(all, { marker, unselected: { marker: { opacity: 0.15 } } });
  return [base, ring(found, 13), ring(linked < 0 ? [] : [linked], 20)];
}

function layout(style) {
  const ink = style.colour("--ink-2");
  const hidden = { visible: false, showgrid: false, zeroline: false };
  return {
    uirevision: "kept",
    margin: { l: 8, r: 8, t: 8, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, family: style.family },
    dragmode: "pan",
    hovermode: "closest",
    showlegend: false,
    xaxis: hidden,
    yaxis: { ...hidden, scaleanchor: "x" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: ink, activecolor: style.colour("--focus") },
  };
}

function hasWebGl() {
  const canvas = document.createElement("canvas");
  return Boolean(canvas.getContext("webgl"));
}
