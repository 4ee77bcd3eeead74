// A folded part of a page that stays open when the page is loaded again: the names of all that are
// unfolded stand in the address, and in the links that keep it.

import { keep } from "./address.js";

export function init(details) {
  details.addEventListener("toggle", () => {
    const open = document.querySelectorAll("details[data-module=fold][open]");
    keep("open", [...open].map((each) => each.id).join("."));
  });
}
