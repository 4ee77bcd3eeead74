// The toggle between contexts by extreme token and by mean. Each is a page of its own; only the lists
// of the other one are fetched and put in the place of those shown.

import { keep } from "./address.js";

export function init(segments) {
  const section = segments.closest("section");
  const said = section.querySelector("[data-role=by-said]");
  let shown = segments.querySelector("[aria-current]"); // whose lists stand on the page
  let asked = null;

  segments.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-by]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    asked?.abort();
    asked = new AbortController();
    const { signal } = asked;
    choose(link);
    said.textContent = "";
    section.removeAttribute("aria-busy");
    if (link === shown) return;
    section.setAttribute("aria-busy", "true");
    const lists = await load(link.href, signal);
    if (signal.aborted) return;
    section.removeAttribute("aria-busy");
    const places = section.querySelectorAll("[data-role=contexts]");
    if (lists?.length !== places.length) {
      choose(shown);
      say("The other contexts could not be loaded. Try again.", true);
      return;
    }
    for (const [place, list] of [...places].entries()) list.replaceWith(lists[place]);
    shown = link;
    say(`Contexts ${link.textContent} are shown.`, false);
  });
  addEventListener("pagehide", () => asked?.abort());

  // Who sees the lists change need not be told that they did.
  function say(sentence, isSeen) {
    said.classList.toggle("sr", !isSeen);
    said.textContent = sentence;
  }

  function choose(chosen) {
    for (const link of segments.querySelectorAll("a")) link.removeAttribute("aria-current");
    chosen.setAttribute("aria-current", "true");
    keep("by", chosen.dataset.by, "extreme");
  }
}

async function load(url, signal) {
  const response = await fetch(url, { signal }).catch(() => null);
  const text = response?.ok ? await response.text().catch(() => null) : null;
  if (text === null) return null;
  const page = new DOMParser().parseFromString(text, "text/html");
  return [...page.querySelectorAll("[data-role=contexts]")];
}
