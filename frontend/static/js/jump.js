// The jump box: one field that finds features by number or label, concepts, SAEs
// and pages, and says so where it finds nothing.

const PAUSE = 120;

export function init(dialog) {
  const input = dialog.querySelector("input");
  const list = dialog.querySelector("ul");
  const nothing = dialog.querySelector("[data-role=nothing]");
  let timer = 0;
  let pending = null;
  let asked = Promise.resolve();

  const search = async () => {
    pending?.abort();
    pending = new AbortController();
    const query = new URLSearchParams({ q: input.value, sae: dialog.dataset.sae });
    try {
      const response = await fetch(`/jump.json?${query}`, { signal: pending.signal });
      if (!response.ok) return;
      const { matches } = await response.json();
      show(list, input, matches);
      nothing.textContent = matches.length ? "" : `Nothing is called “${input.value.trim()}”.`;
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  };

  const ask = () => {
    clearTimeout(timer);
    timer = 0;
    asked = search();
    return asked;
  };

  // What is typed is what is opened: the list may still be that of the text before.
  const follow = async () => {
    const mine = timer ? ask() : asked;
    await mine;
    if (mine === asked && !timer) list.querySelector("[aria-selected=true]")?.click();
  };

  new MutationObserver(() => {
    if (!dialog.open) return;
    input.select();
    ask();
  }).observe(dialog, { attributeFilter: ["open"] });

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  });
  // What was typed before this module arrived counts too.
  if (input.value !== "") timer = setTimeout(ask, PAUSE);
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      choose(list, input, step);
    } else if (event.key === "Enter") {
      event.preventDefault();
      follow();
    }
  });
}

function show(list, input, matches) {
  list.replaceChildren(
    ...matches.map((match, index) => {
      const item = document.createElement("li");
      item.role = "presentation";
      const link = document.createElement("a");
      link.id = `jump-${index}`;
      link.role = "option";
      link.ariaSelected = String(index === 0);
      link.href = match.url;
      link.textContent = match.title;
      link.tabIndex = -1;
      const hint = document.createElement("span");
      hint.className = "small faint";
      hint.textContent = match.hint;
      link.append(hint);
      item.append(link);
      return item;
    }),
  );
  if (matches.length) input.setAttribute("aria-activedescendant", "jump-0");
  else input.removeAttribute("aria-activedescendant");
}

function choose(list, input, step) {
  const items = [...list.querySelectorAll("[role=option]")];
  if (!items.length) return;
  const from = items.findIndex((item) => item.ariaSelected === "true");
  const to = (from + step + items.length) % items.length;
  for (const [index, item] of items.entries()) item.ariaSelected = String(index === to);
  items[to].scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", items[to].id);
}
