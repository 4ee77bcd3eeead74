// How one feature looks on the map: colour on a scale centred on zero, a shape that tells the sign
// without colour, and lines that name both poles.

import { percent, poleName, signed, visible } from "./numbers.js";

const THIRD = 1 / 3;
const ORDINARY = 0.98;

const POLES = ["--map-neg", "--map-zero", "--map-pos"];
const CHOICES = {
  balance: {
    title: "balance",
    legend: () =>
      "Colour: pole balance, from −1 (only ever below zero, blue, ◂) through 0 (grey, ●) to +1 (only ever above zero, orange, ▸).",
    values: (data) => data.balance,
    limit: () => 1,
    colours: POLES,
    symbols: ["triangle-left", "triangle-right"],
  },
  opposition: {
    title: "opposition, spreads of its strangers",
    legend: ({ null95 }) =>
      typeof null95 === "number"
        ? `Colour: opposition, in spreads of a feature’s strangers; the more violet, the better its poles fit where each other stand, as opposites and siblings do. ◆: above ${signed(null95)}, which 95 % of strangers stay below; ●: not beyond chance, or not scored.`
        : "Opposition has not been scored here, so every feature is a grey ●.",
    values: (data) => data.opposition,
    limit: (values) => ordinaryLimit(values),
    colours: ["--map-low", "--map-zero", "--map-high"],
    symbols: ["circle", "diamond"],
    beyond: ({ null95 }) => null95 ?? Number.POSITIVE_INFINITY,
  },
  density: {
    title: "density + less −",
    legend: () =>
      "Colour: density of the + pole less density of the − pole; blue ◂ fires more often below zero, orange ▸ above.",
    values: (data) => data.features.map((_, i) => data.density_pos[i] - data.density_neg[i]),
    limit: (values) => ordinaryLimit(values),
    colours: POLES,
    symbols: ["triangle-left", "triangle-right"],
  },
};

export function colourOf(name) {
  return CHOICES[name] ?? CHOICES.balance;
}

// Colour and shape of every point; the scale is symmetric, so that its middle is exactly zero.
export function markersOf(data, name, style) {
  const choice = colourOf(name);
  const values = choice.values(data).map((value) => value ?? 0);
  const limit = choice.limit(values);
  const beyond = choice.beyond?.(data) ?? THIRD * limit;
  const [low, zero, high] = choice.colours.map((variable) => style.colour(variable));
  return {
    color: values,
    symbol: values.map((value) => symbolOf(value, beyond, choice.symbols)),
    cmin: -limit,
    cmid: 0,
    cmax: limit,
    colorscale: [
      [0, low],
      [0.5, zero],
      [1, high],
    ],
    showscale: true,
    colorbar: {
      title: { text: choice.title, side: "right" },
      thickness: 8,
      len: 0.5,
      outlinewidth: 0,
      tickvals: [-1, -0.5, 0, 0.5, 1].map((share) => share * limit),
      ticktext: [-1, -0.5, 0, 0.5, 1].map((share) => signed(share * limit, digitsOf(limit))),
    },
  };
}

// Enough decimals to tell half the limit from zero.
function digitsOf(limit) {
  return Math.max(2, 2 - Math.floor(Math.log10(limit)));
}

function symbolOf(value, beyond, [low, high]) {
  if (value < -beyond) return low;
  return value > beyond ? high : "circle";
}

// The magnitude that 98 % of the values stay below, so that one outlier does not pale the rest.
function ordinaryLimit(values) {
  const sizes = values.map(Math.abs).sort((a, b) => a - b);
  return sizes[Math.floor(ORDINARY * (sizes.length - 1))] || sizes.at(-1) || 1;
}

export function hoverLines(data, index) {
  return [
    `${data.features[index]}`,
    visible(`− ${poleName(data.label_neg[index], data.max_neg[index])}`),
    visible(`+ ${poleName(data.label_pos[index], data.max_pos[index])}`),
    `balance ${signed(data.balance[index])}, opposition ${signed(data.opposition[index])}`,
    `fires on ${percent(data.density_neg[index])} below, ${percent(data.density_pos[index])} above`,
  ];
}
