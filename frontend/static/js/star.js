// A star: puts a feature, or one pole of it, on the reader's own list or takes it off again. A full
// list is said beside it.

import { add, MOST, read, remove } from "./starred.js";

export function init(button) {
  const key = button.dataset.item;
  const isStarred = () => read().some((item) => item.key === key);
  show(button, isStarred());
  button.hidden = false;
  button.addEventListener("click", () => {
    if (isStarred()) remove(key);
    else if (add([key])) sayFull(button);
    show(button, isStarred());
  });
}

function show(button, isStarred) {
  button.setAttribute("aria-pressed", String(isStarred));
  button.querySelector("[data-role=star]").textContent = isStarred ? "★" : "☆";
}

function sayFull(button) {
  const old = button.parentElement.querySelector("[data-role=star-full]");
  const note = document.createElement("span");
  note.dataset.role = "star-full";
  note.className = "small";
  note.role = "alert";
  const list = document.createElement("a");
  list.href = "/list";
  list.textContent = "take some off it";
  note.append(`Your list is full, it holds ${MOST}: `, list, ".");
  old?.remove();
  button.after(note);
}
