// The concept page: says that it works on it, whichever way it was asked, and reads a CSV file into
// the two lists.

const BUSY = "Choosing, scoring and steering: some ten seconds…";

export function init(form) {
  const note = form.querySelector("[data-role=note]");
  const file = form.querySelector("[data-role=file]");
  form.querySelector("[data-role=csv]").hidden = false;
  const offers = document.querySelector("[data-role=offers]"); // the built-in concepts, as links
  const places = [note, ...(offers?.querySelectorAll("[data-role=offer-note]") ?? [])];
  form.addEventListener("submit", () => say(BUSY));
  offers?.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) say(`${link.textContent}. ${BUSY}`);
  });
  addEventListener("pageshow", () => say(""));
  file.addEventListener("change", async () => {
    if (!file.files.length) return;
    note.textContent = fill(form, parse(await file.files[0].text()));
  });

  function say(sentence) {
    for (const place of places) place.textContent = sentence;
    if (sentence) form.setAttribute("aria-busy", "true");
    else form.removeAttribute("aria-busy");
  }
}

// The texts of the two labels go into A (the first label met) and B. Returns what is wrong, or "".
function fill(form, rows) {
  const [head = [], ...body] = rows;
  const names = head.map((name) => name.trim().toLowerCase());
  const text = names.indexOf("text");
  const label = names.indexOf("label");
  if (text < 0 || label < 0) return "The first line must name the columns text and label.";
  const sides = new Map();
  for (const row of body) {
    if (!row[text]?.trim()) continue;
    const key = row[label]?.trim() ?? "";
    if (!sides.has(key)) sides.set(key, []);
    sides.get(key).push(row[text].replaceAll(/\s+/g, " ").trim());
  }
  if (sides.size !== 2) return `The column label holds ${sides.size} values; two are needed.`;
  const [a, b] = [...sides.values()];
  form.elements.namedItem("a").value = a.join("\n");
  form.elements.namedItem("b").value = b.join("\n");
  form.elements.namedItem("contrast").value = "";
  return `A: ${[...sides.keys()][0]} (${a.length}), B: ${[...sides.keys()][1]} (${b.length})`;
}

// Rows of cells; quotes as in RFC 4180.
export function parse(source) {
  const rows = [[""]];
  let isQuoted = false;
  for (let place = 0; place < source.length; place += 1) {
    const letter = source[place];
    const row = rows[rows.length - 1];
    if (isQuoted) {
      if (letter === '"' && source[place + 1] === '"') {
        row[row.length - 1] += '"';
        place += 1;
      } else if (letter === '"') isQuoted = false;
      else row[row.length - 1] += letter;
    } else if (letter === '"') isQuoted = true;
    else if (letter === ",") row.push("");
    else if (letter === "\n") rows.push([""]);
    else if (letter !== "\r") row[row.length - 1] += letter;
  }
  return rows.filter((row) => row.some((cell) => cell !== ""));
}
