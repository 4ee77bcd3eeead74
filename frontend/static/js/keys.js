// Keyboard shortcuts. An element says which key stands for it with data-key; `/` goes to the field
// marked data-search. Knows no page.

export function init(root) {
  for (const opener of root.querySelectorAll("[data-open]")) {
    opener.hidden = false;
    opener.addEventListener("click", () => open(opener.dataset.open));
  }
  root.addEventListener("keydown", onKey);
}

function open(id) {
  const dialog = document.getElementById(id);
  if (!dialog.open) dialog.showModal();
}

function onKey(event) {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    open("jump");
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  if (event.key === "/") {
    event.preventDefault();
    const field = document.querySelector("[data-search]");
    if (field) field.focus();
    else open("jump");
    return;
  }
  if (event.key.startsWith("Arrow") && scrollsAcross(event.target)) return;
  const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (target) {
    event.preventDefault();
    target.click();
  }
}

// A wide table or chart with the focus in it: there the arrows scroll, as the browser has it.
function scrollsAcross(element) {
  for (let region = element; region && region !== document.body; region = region.parentElement) {
    if (region.scrollWidth > region.clientWidth && /auto|scroll/.test(getComputedStyle(region).overflowX)) {
      return true;
    }
  }
  return false;
}

function isTyping(target) {
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}
