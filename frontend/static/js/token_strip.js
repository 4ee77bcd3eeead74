// A strip of coloured tokens. One token of a strip is a tab stop; the arrow keys walk from value
// to value inside it. Knows nothing of where the values come from.

import { ladder, signed, spoken, visible } from "./numbers.js";

export function init(root) {
  for (const strip of root.querySelectorAll(".strip")) makeWalkable(strip);
}

export function render(strip, tokens, activations, special, given = null, extreme = -1) {
  const scale = given ?? Math.max(0, ...activations.map(Math.abs));
  strip.replaceChildren(
    ...tokens.map((token, index) => element(token, activations[index], scale, special[index])),
  );
  strip.children[extreme]?.classList.add("extreme");
  makeWalkable(strip);
}

function element(token, value, scale, isSpecial) {
  const span = document.createElement("span");
  span.className = isSpecial ? "tok special" : "tok";
  span.textContent = visible(token);
  if (!value) return span;
  span.classList.add(ladder(value, scale));
  span.dataset.value = signed(value);
  const speech = document.createElement("span");
  speech.className = "sr";
  speech.textContent = ` (${spoken(value)}) `;
  span.append(speech);
  return span;
}

function makeWalkable(strip) {
  const valued = [...strip.querySelectorAll(".tok[data-value]")];
  if (!valued.length) return;
  const start = valued.find((token) => token.classList.contains("extreme")) ?? valued[0];
  for (const token of valued) token.tabIndex = token === start ? 0 : -1;
  strip.onkeydown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const from = valued.indexOf(document.activeElement);
    if (!step || from < 0) return;
    event.preventDefault();
    event.stopPropagation();
    const to = valued[Math.min(valued.length - 1, Math.max(0, from + step))];
    valued[from].tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  };
}
