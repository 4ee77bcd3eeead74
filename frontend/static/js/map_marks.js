// How one feature looks on the map: colour on a scale centred on zero, a shape that tells the sign
// without colour, and a hover text that names both poles.

import { poleName, signed, visible } from "./numbers.js";

const ONE_SIDED = 0.33;

const CHOICES = {
  balance: {
    legend: "Colour: pole balance, from −1 (only ever below zero, blue, ◂) through 0 (grey, ●) to +1 (only ever above zero, orange, ▸).",
    marker: (data, style) => diverging(data.balance, 1, style, "balance"),
  },
  opposition: {
    legend: "Colour: opposition, from −1 (blue, ◂) through 0 (grey, ●) to +1 (orange, ▸). Features without a score are grey.",
    marker: (data, style) => diverging(data.opposition, 1, style, "opposition"),
  },
  density: {
    legend: "Colour: density of the + pole minus density of the − pole; blue ◂ fires more often below zero, orange ▸ above.",
    marker: (data, style) => {
      const values = densityDifference(data);
      return diverging(values, Math.max(1e-9, ...values.map(Math.abs)), style, "density + less −");
    },
  },
};

export function colourOf(name) {
  return CHOICES[name] ?? CHOICES.balance;
}

export function symbolOf(data, colour, index) {
  const value =
    colour === "opposition" ? (data.opposition[index] ?? 0)
    : colour === "density" ? relativeDifference(data, index)
    : (data.balance[index] ?? 0);
  if (value <= -ONE_SIDED) return "triangle-left";
  return value >= ONE_SIDED ? "triangle-right" : "circle";
}

export function hoverText(data, index) {
  const lines = [
    `<b>${data.features[index]}</b>`,
    `− ${escape(poleName(data.label_neg[index], data.max_neg[index]))}`,
    `+ ${escape(poleName(data.label_pos[index], data.max_pos[index]))}`,
    `balance ${signed(data.balance[index])}, opposition ${signed(data.opposition[index])}`,
    `fires on ${percent(data.density_neg[index])} below, ${percent(data.density_pos[index])} above`,
  ];
  return lines.join("<br>");
}

function diverging(values, limit, style, title) {
  return {
    color: values.map((value) => value ?? 0),
    cmin: -limit,
    cmid: 0,
    cmax: limit,
    colorscale: [
      [0, style.colour("--map-neg")],
      [0.5, style.colour("--map-zero")],
      [1, style.colour("--map-pos")],
    ],
    showscale: true,
    colorbar: { title: { text: title, side: "right" }, thickness: 8, len: 0.5, outlinewidth: 0, tickformat: "+.2~f" },
  };
}

function densityDifference(data) {
  return data.features.map((_, index) => data.density_pos[index] - data.density_neg[index]);
}

function relativeDifference(data, index) {
  const total = data.density_pos[index] + data.density_neg[index];
  return total ? (data.density_pos[index] - data.density_neg[index]) / total : 0;
}

function percent(share) {
  return `${(share * 100).toFixed(2)} %`;
}

// Plotly reads a few tags in texts; a token that looks like one must stay text.
function escape(text) {
  return visible(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
