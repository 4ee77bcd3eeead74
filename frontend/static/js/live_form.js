// Makes a GET form live: on input it fetches its own page, debounced, drops a superseded answer,
// and swaps the part named by data-target. The server renders; nothing is rendered twice.

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
      for (const link of document.querySelectorAll("[data-live-link]")) {
        const fresh = page.querySelectorAll("[data-live-link]");
        const index = [...document.querySelectorAll("[data-live-link]")].indexOf(link);
        if (fresh[index]) link.href = fresh[index].href;
      }
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
  const query = parameters.toString();
  return query ? `${form.action}?${query}` : form.action;
}

function swap(region, page, response) {
  const fresh = page.getElementById(region.id);
  if (fresh) region.replaceWith(document.adoptNode(fresh));
  else showProblem(region, page.querySelector("main > p")?.textContent ?? response.statusText);
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
