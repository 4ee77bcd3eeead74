// A line in the histogram at the value of the token under the pointer or the focus.

const WIDTH = 1000; // of the drawing, zero in the middle

export function init(figure) {
  const line = figure.querySelector("[data-role=here]");
  if (!line) return;
  figure.querySelector("[data-role=hint]").hidden = false;
  const reach = Number(figure.dataset.reach);
  const page = figure.closest(".card-body, main");
  const mark = ({ target }) => {
    const token = target.closest?.(".tok[data-value]");
    const value = token ? Number(token.dataset.value.replace("\u2212", "-")) : 0;
    const isOutside = Math.abs(value) > reach; // a text of the reader's own may reach further
    line.setAttribute("visibility", token && !isOutside ? "visible" : "hidden");
    line.setAttribute("d", `M${((1 + value / reach) * WIDTH) / 2} 0V200`);
  };
  for (const name of ["mouseover", "focusin"]) page.addEventListener(name, mark);
}
