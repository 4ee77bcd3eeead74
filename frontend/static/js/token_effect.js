// Says, for the token under the pointer or the focus, what the feature does to the next token there:
// sign(a)·d·W_U, so the logits of the pole the token's value is on. The lists are on the page.

import { visible } from "./numbers.js";

const SHOWN = 5;

export function init(line) {
  const hint = line.textContent;
  const lists = { neg: listsOf("neg"), pos: listsOf("pos") };
  const section = line.closest("section");
  const say = (event) => {
    const token = event.target.closest?.(".tok[data-value]");
    if (token) line.replaceChildren(...sentence(token, lists));
  };
  for (const name of ["mouseover", "focusin"]) section.addEventListener(name, say);
  section.addEventListener("mouseleave", () => {
    line.textContent = hint;
  });
}

function listsOf(side) {
  return [...document.querySelectorAll(`.half-${side} [data-role=logits] ul`)].map((list) =>
    [...list.querySelectorAll("code")].slice(0, SHOWN).map((code) => code.textContent),
  );
}

function sentence(token, lists) {
  const side = token.dataset.value.startsWith("+") ? "pos" : "neg";
  const glyph = side === "pos" ? "+" : "−";
  const [promotes, suppresses] = lists[side];
  const word = document.createElement("strong");
  word.className = side;
  word.textContent = `${visible(token.firstChild.textContent.trim() || "␠")} ${token.dataset.value}`;
  if (!promotes?.length)
    return [word, `: the ${glyph} pole; its effect on the next token was not computed`];
  return [
    word,
    ` pushes along the ${glyph} pole: promotes ${promotes.join(" · ")}; suppresses ${suppresses.join(" · ")}`,
  ];
}
