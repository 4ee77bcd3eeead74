// Makes a GET form live: on input it fetches its own page, debounced, drops a superseded answer,
// and swaps the part named by data-target, and with it whatever says the same elsewhere on the page
// (data-live-links). The server renders; nothing is rendered twice.

import { init as initStrips } from "./token_strip.js";

const PAUSE = 220;

export function init(form) {
  let timer = 0;
  let pending = null;

  const update = async () => {
    pending?.abort();
    pending = new AbortController();
    const mine = pending;
    const region = document.getElementById(form.dataset.target);
    const url = formUrl(form);
    region.classList.add("busy");
    region.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(url, { signal: mine.signal, headers: { accept: "text/html" } });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      swap(region, page, response);
      if (response.ok) history.replaceState(null, "", url);
      swapLinks(page);
    } catch (error) {
      if (error.name === "AbortError") return;
      showProblem(region, "The server did not answer. Check that it is running, then try again.");
    }
  };

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(update, PAUSE);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    update();
  });
  // What was typed before this module arrived counts too.
  if ([...form.querySelectorAll("textarea, input[type=text], input[type=search]")].some(isTyped)) update();
}

function isTyped(field) {
  return field.value !== field.defaultValue;
}

function formUrl(form) {
  const parameters = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value !== "") parameters.append(name, value);
  const url = new URL(form.action);
  url.hash = ""; // where a page without scripts opens; this one stays where it is
  url.search = parameters.toString();
  return url.href;
}

function swap(region, page, response) {
  const fresh = page.getElementById(region.id);
  if (!fresh) {
    showProblem(region, page.querySelector("main > p")?.textContent ?? response.statusText);
    return;
  }
  region.replaceWith(document.adoptNode(fresh));
  initStrips(fresh);
}

function swapLinks(page) {
  const fresh = [...page.querySelectorAll("[data-live-links]")];
  for (const [index, links] of [...document.querySelectorAll("[data-live-links]")].entries()) {
    if (fresh[index]) links.replaceWith(document.adoptNode(fresh[index]));
  }
}

function showProblem(region, sentence) {
  const note = document.createElement("p");
  note.className = "notice bad";
  note.setAttribute("role", "alert");
  note.textContent = sentence;
  region.classList.remove("busy");
  region.setAttribute("aria-busy", "false");
  region.replaceChildren(note);
}
