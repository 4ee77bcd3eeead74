// The map of decoder rows. Plotly draws; this file says what is drawn, follows the search field,
// and lists what is lassoed, or named in the address. Colours come from the page's own variables, so both themes fit.

import { keep } from "./address.js";
import { reader } from "./colours.js";
import { recall, remember } from "./map_address.js";
import { link, point } from "./map_links.js";
import { hide, show } from "./map_hover.js";
import { colourOf, markersOf } from "./map_marks.js";
import { showSelection } from "./map_selection.js";

// Named one by one: the default set offers to share the chart through a service elsewhere.
const BUTTONS = ["toImage", "zoom2d", "pan2d", "select2d", "lasso2d", "resetScale2d"];
const PAUSE = 150;
// More rings than this would hide the points they are drawn around, unless they are small.
const CROWD = 300;

export async function init(section) {
  const part = (role) => section.querySelector(`[data-role=${role}]`);
  const isLinked = Boolean(section.dataset.side);
  const form = document.querySelector("[data-role=map-form]");
  const answer = await fetch(section.dataset.url).catch(() => null);
  if (!answer?.ok || !globalThis.Plotly) {
    part("status").textContent = "The map could not be loaded. Reload the page to try again.";
    return;
  }
  const data = columnsOf(await answer.json());
  const plot = part("plot");
  const side = section.dataset.side ?? "a";
  let chosen = recall(side, data);
  let opposite = [];
  let timer = 0;
  let marked = {};

  await draw();
  showSelection(section, data, chosen);
  plot.on("plotly_click", ({ points }) => {
    const index = points[0].customdata;
    location.assign(`/sae/${section.dataset.sae}/feature/${data.features[index]}`);
  });
  plot.on("plotly_selected", (event) => {
    const points = (event?.points ?? []).filter((point) => point.curveNumber === 0);
    select(points.map((each) => each.pointIndex), event);
  });
  plot.on("plotly_deselect", () => select([]));
  plot.on("plotly_hover", ({ points, event }) => show(part("hover"), data, points[0], event));
  plot.on("plotly_unhover", () => hide(part("hover")));
  if (isLinked) {
    plot.on("plotly_hover", ({ points }) => point(section, data, [points[0].customdata]));
    link(section, data, async (indices) => {
      opposite = indices;
      showSelection(section, data, indices);
      await draw();
    });
    if (chosen.length) point(section, data, chosen);
  }
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("themechange", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  function select(indices, event) {
    chosen = remember(side, data, indices, event);
    showSelection(section, data, chosen);
    if (chosen !== indices) draw(); // the line in the address is coarser than the one drawn
    if (isLinked) point(section, data, chosen);
  }

  function update() {
    for (const name of ["search", "colour"]) keep(name, form.elements.namedItem(name).value);
    clearTimeout(timer);
    timer = setTimeout(draw, PAUSE);
  }

  // Colours and shapes of all points, made anew only for another choice or theme.
  function markers(colour, style) {
    const key = [colour, style.colour("--map-neg"), style.colour("--map-zero")].join();
    if (marked.key !== key) marked = { key, ...markersOf(data, colour, style) };
    const { key: _, ...marker } = marked;
    return marker;
  }

  async function draw() {
    const found = matches(data, form.elements.namedItem("search").value);
    const asked = side === "b" ? null : new URLSearchParams(location.search).get("feature");
    const linked = opposite.length
      ? opposite
      : asked === null
        ? []
        : [data.features.indexOf(Number(asked))];
    const colour = form.elements.namedItem("colour").value;
    const style = reader(section);
    await Plotly.react(plot, traces(data, markers(colour, style), chosen, found, linked, style), layout(style), {
      displaylogo: false,
      displayModeBar: true, // the lasso is found without pointing at the map first
      responsive: true,
      scrollZoom: true,
      modeBarButtons: [BUTTONS],
    });
    style.close();
    part("legend").textContent = colourOf(colour).legend(data);
    const total = data.features.length.toLocaleString("en");
    const query = form.elements.namedItem("search").value.trim();
    part("status").textContent = query
      ? `${found.length} of ${total} features match “${query}”.`
      : `${total} features. Click opens one; lasso or box, top right, lists several.`;
  }
}

function columnsOf({ columns, opposition_null_95: null95 }) {
  const indices = columns.feature.map((_, index) => index);
  return { ...columns, features: columns.feature, balance: columns.pole_balance, indices, null95 };
}

function matches(data, text) {
  const query = text.trim().toLowerCase();
  if (!query) return [];
  const hit = (index) =>
    String(data.features[index]) === query ||
    data.label_neg[index].toLowerCase().includes(query) ||
    data.label_pos[index].toLowerCase().includes(query);
  return data.indices.filter(hit);
}

// The columns themselves and not copies: what is the same as before is not read again.
function traces(data, marks, chosen, found, linked, style) {
  const type = hasWebGl() ? "scattergl" : "scatter";
  const ring = (indices, size) => ({
    type,
    mode: "markers",
    x: indices.map((index) => data.x[index]),
    y: indices.map((index) => data.y[index]),
    customdata: indices,
    hoverinfo: "skip",
    marker: { size, symbol: "circle-open", color: style.colour("--focus"), line: { width: 2 } },
  });
  const many = data.features.length;
  const marker = {
    size: many > 40_000 ? 3 : many > 4000 ? 4 : 7,
    opacity: found.length ? 0.25 : 0.9,
    ...marks,
  };
  const base = {
    type,
    mode: "markers",
    x: data.x,
    y: data.y,
    customdata: data.indices,
    hoverinfo: "none", // the lines beside the pointer are ours
    marker,
    selectedpoints: chosen.length ? chosen : null,
    unselected: { marker: { opacity: 0.15 } },
  };
  return [
    base,
    ring(found, found.length > CROWD ? 6 : 13),
    ring(
      linked.filter((index) => index >= 0),
      20,
    ),
  ];
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

let webGl = null;

// Asked once: every question makes a context, and beyond sixteen a browser takes away the oldest,
// which is the map's own.
function hasWebGl() {
  webGl ??= Boolean(document.createElement("canvas").getContext("webgl"));
  return webGl;
}
