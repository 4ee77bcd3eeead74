// The lines beside the pointer on the map: the feature, both poles, its figures. Made for the one
// point that is pointed at; a text for each of a hundred thousand took longer than the drawing.

import { hoverLines } from "./map_marks.js";

const GAP = 14;

export function show(box, data, point, event) {
  const [feature, ...lines] = hoverLines(data, point.customdata);
  const name = document.createElement("strong");
  name.textContent = feature;
  box.replaceChildren(name, ...lines.map(line));
  box.hidden = false;
  const frame = box.parentElement.getBoundingClientRect();
  const across = (event?.clientX ?? frame.left) - frame.left;
  const down = (event?.clientY ?? frame.top) - frame.top;
  const isRight = across + GAP + box.offsetWidth > frame.width;
  box.style.left = `${Math.max(0, isRight ? across - GAP - box.offsetWidth : across + GAP)}px`;
  box.style.top = `${Math.min(down + GAP, frame.height - box.offsetHeight)}px`;
}

export function hide(box) {
  box.hidden = true;
}

function line(text) {
  const element = document.createElement("span");
  element.textContent = text;
  return element;
}
