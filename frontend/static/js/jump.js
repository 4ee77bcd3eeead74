// The jump box: one field that finds features by number or label, SAEs and pages.

const PAUSE = 120;

export function init(dialog) {
  const input = dialog.querySelector("input");
  const list = dialog.querySelector("ul");
  let timer = 0;
  let pending = null;

  const search = async () => {
    pending?.abort();
    pending = new AbortController();
    const query = new URLSearchParams({ q: input.value, sae: dialog.dataset.sae });
    try {
      const response = await fetch(`/jump.json?${query}`, { signal: pending.signal });
      if (response.ok) show(list, (await response.json()).matches);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  };

  new MutationObserver(() => {
    if (!dialog.open) return;
    input.select();
    search();
  }).observe(dialog, { attributeFilter: ["open"] });

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE);
  });
  // What was typed before this module arrived counts too.
  if (input.value !== "") timer = setTimeout(search, PAUSE);
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      choose(list, input, step);
    } else if (event.key === "Enter") {
      event.preventDefault();
      list.querySelector("[aria-selected=true] a")?.click();
    }
  });
}

function show(list, matches) {
  list.replaceChildren(
    ...matches.map((match, index) => {
      const item = document.createElement("li");
      item.id = `jump-${index}`;
      item.role = "option";
      item.ariaSelected = String(index === 0);
      const link = document.createElement("a");
      link.href = match.url;
      link.textContent = match.title;
      link.tabIndex = -1;
      const hint = document.createElement("span");
      hint.className = "small faint";
      hint.textContent = match.hint;
      item.append(link, hint);
      return item;
    }),
  );
}

function choose(list, input, step) {
  const items = [...list.children];
  if (!items.length) return;
  const from = items.findIndex((item) => item.ariaSelected === "true");
  const to = (from + step + items.length) % items.length;
  for (const [index, item] of items.entries()) item.ariaSelected = String(index === to);
  items[to].scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", items[to].id);
}
