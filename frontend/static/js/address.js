// The state of a page in its address, and in the links that take it along: a link lists in
// data-keeps the names of what it keeps.

export function keep(name, value, standard = "") {
  const change = (href) => {
    const address = new URL(href);
    if (value === standard) address.searchParams.delete(name);
    else address.searchParams.set(name, value);
    return address.href;
  };
  history.replaceState(null, "", change(location.href));
  for (const link of document.querySelectorAll(`a[data-keeps~="${name}"]`)) {
    link.href = change(link.href);
  }
}
