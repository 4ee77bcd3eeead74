// What is selected on a map, in the address: the features as ranges where those are short, else the line
// drawn round them in the map's own coordinates, which then decides alone. Of two maps on a page the one
// that was drawn on last is told.

import { keep } from "./address.js";

const LONGEST = 400;
const CORNERS = 60;
const DIGITS = 4;
const NAMES = { features: "selected", line: "around" };

// Puts a selection into the address; returns the indices that the address stands for.
export function remember(side, data, indices, event) {
  const text = ranges(indices.map((index) => data.features[index]));
  const lines = text.length > LONGEST ? linesOf(event).map(coarser) : [];
  const isShort = text.length <= LONGEST;
  for (const each of ["a", "b"]) {
    const isMine = each === side;
    keep(nameOf(NAMES.features, each), isMine && isShort ? text : "");
    keep(nameOf(NAMES.line, each), isMine ? lines.map((line) => line.join(",")).join("~") : "");
  }
  return lines.length ? within(data, lines) : indices;
}

// The indices that the address asks for.
export function recall(side, data) {
  const query = new URLSearchParams(location.search);
  const features = query.get(nameOf(NAMES.features, side));
  if (features) return placed(data, features);
  const around = query.get(nameOf(NAMES.line, side)) ?? "";
  const lines = around.split("~").map((line) => line.split(",").map(Number));
  return within(data, lines.filter((line) => line.length >= 6 && line.every(Number.isFinite)));
}

function nameOf(name, side) {
  return side === "b" ? `${name}_b` : name;
}

// [0, 4, 5, 6] as "0.4-6".
function ranges(features) {
  const parts = [];
  for (const feature of [...features].sort((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last && feature === last[1] + 1) last[1] = feature;
    else parts.push([feature, feature]);
  }
  return parts.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(".");
}

function placed(data, text) {
  const wanted = text.split(".").map((part) => part.split("-").map(Number));
  const isWanted = (feature) => wanted.some(([first, last = first]) => first <= feature && feature <= last);
  return data.indices.filter((index) => isWanted(data.features[index]));
}

// Every line of a selection as [x, y, x, y, …]: a box has four corners, and shift adds another line.
function linesOf(event) {
  const drawn = event?.selections ?? [];
  if (!drawn.length) return [];
  return drawn.map(({ type, path, x0, x1, y0, y1 }) =>
    type === "path"
      ? path.match(/-?[\d.]+(?:e[+-]?\d+)?/gi).map(Number)
      : [x0, y0, x1, y0, x1, y1, x0, y1],
  );
}

// As many corners and digits as an address can carry.
function coarser(line) {
  const corners = line.length / 2;
  const step = Math.max(1, Math.ceil(corners / CORNERS));
  return line
    .filter((_, place) => Math.floor(place / 2) % step === 0)
    .map((value) => Number(value.toPrecision(DIGITS)));
}

function within(data, lines) {
  return data.indices.filter((index) => lines.some((line) => holds(line, data.x[index], data.y[index])));
}

// Whether a ray to the left crosses the line an odd number of times.
function holds(line, x, y) {
  let isInside = false;
  for (let place = 0; place < line.length; place += 2) {
    const before = (place || line.length) - 2;
    const [x1, y1, x2, y2] = [line[before], line[before + 1], line[place], line[place + 1]];
    if (y1 > y !== y2 > y && x < x1 + ((y - y1) / (y2 - y1)) * (x2 - x1)) isInside = !isInside;
  }
  return isInside;
}
