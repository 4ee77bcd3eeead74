// The toggle between contexts by extreme token and by mean: both lists are on the page already.

export function init(segments) {
  segments.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-by]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    for (const other of segments.querySelectorAll("a")) other.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    for (const list of document.querySelectorAll("ol[data-by]")) {
      list.hidden = list.dataset.by !== link.dataset.by;
    }
    history.replaceState(null, "", link.href);
  });
}
