// The list page: a bare address opens the reader's own list; notes, title and removals go into the
// address at once, and into the reader's list if this is it.

import { address, read, write } from "./starred.js";

export function init(root) {
  const rows = [...root.querySelectorAll("[data-item]")];
  const own = read();
  if (!rows.length) {
    if (own.length && !location.search) location.replace(address(own));
    return;
  }
  const isOwn = () => sameKeys(read(), items(root));
  const wasOwn = isOwn();
  const title = root.querySelector("[data-role=title]");
  const tools = document.querySelector("[data-role=own]");
  const keep = tools.querySelector("[data-role=keep]");
  const clear = tools.querySelector("[data-role=clear]");
  tools.hidden = false;
  keep.hidden = wasOwn;
  clear.hidden = !wasOwn;

  const view = new URLSearchParams(location.search).get("view");
  const addressOf = (name) => {
    const plain = address(items(root), title.value);
    return name === "cards" ? `${plain}&view=cards` : plain;
  };
  let mine = wasOwn;
  const save = () => {
    history.replaceState(null, "", addressOf(view));
    if (mine) write(items(root));
    refreshTwins();
    for (const link of root.querySelectorAll("[data-view]")) link.href = addressOf(link.dataset.view);
  };
  root.addEventListener("input", save);
  for (const row of rows) {
    const remove = row.querySelector("[data-role=remove]");
    remove.hidden = false;
    remove.addEventListener("click", () => {
      row.remove();
      save();
      if (!items(root).length) location.assign("/list");
    });
  }
  keep.addEventListener("click", () => {
    mine = true;
    write(items(root));
    keep.hidden = true;
    clear.hidden = false;
  });
  clear.addEventListener("click", () => {
    write([]);
    location.assign("/list");
  });
}

function items(root) {
  return [...root.querySelectorAll("[data-item]")].map((row) => ({
    key: row.dataset.item,
    note: row.querySelector("[data-role=note]").value.trim(),
  }));
}

function sameKeys(a, b) {
  return a.length === b.length && a.every((item) => b.some((other) => other.key === item.key));
}

// The links to JSON and CSV say what the page says now.
function refreshTwins() {
  for (const link of document.querySelectorAll("a[href^='/list.']")) {
    link.href = link.pathname + location.search;
  }
}
