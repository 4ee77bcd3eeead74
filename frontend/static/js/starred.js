// The reader's own list, kept in this browser: items as the list page's address writes them.
// Knows the storage and the writing; no page.

const KEY = "dipole-list";
export const MOST = 200; // what the list page shows of one address

// [{ key: "1.24" or "1.24.pos", note }]
export function read() {
  try {
    const items = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(items) ? items.filter((item) => typeof item?.key === "string").slice(0, MOST) : [];
  } catch {
    return [];
  }
}

export function write(items) {
  localStorage.setItem(KEY, JSON.stringify(items));
}

// Puts on the list what is not there yet and fits; says how many did not fit.
export function add(keys) {
  const items = read();
  const known = new Set(items.map((item) => item.key));
  const fresh = keys.filter((key) => !known.has(key)).map((key) => ({ key, note: "" }));
  const fitting = fresh.slice(0, MOST - items.length);
  write([...items, ...fitting]);
  return fresh.length - fitting.length;
}

export function remove(key) {
  write(read().filter((item) => item.key !== key));
}

export function address(items, title = "") {
  const query = new URLSearchParams();
  if (title) query.append("title", title);
  for (const { key, note } of items) query.append("item", note ? `${key}~${note}` : key);
  return query.size ? `/list?${query}` : "/list";
}
