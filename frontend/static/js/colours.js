// The page's colour variables as plain rgb(), for drawings that cannot read CSS.

export function reader(root) {
  const probe = document.createElement("span");
  probe.hidden = true;
  root.append(probe);
  return {
    family: getComputedStyle(root).fontFamily,
    colour(name) {
      // A custom property keeps its light-dark() as written; only a real colour is resolved.
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    },
    close: () => probe.remove(),
  };
}
