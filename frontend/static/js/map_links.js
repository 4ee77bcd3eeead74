// Two maps on one page: what is pointed at or lassoed in one is ringed in the other. Which features
// belong together is /compare's answer (best match by cosine); without it, equal labels.

const MOST = 1000;

let answer = null;
const last = {}; // what each side pointed at last, for a map that is there later than that

export function pairsOf(section) {
  answer ??= load(section.dataset.pairs);
  return answer;
}

async function load(url) {
  const response = await fetch(url).catch(() => null);
  return response?.ok ? (await response.json()).matched : null;
}

// Calls `show(indices)` whenever the other map points at something; says once how they are matched.
export async function link(section, data, show) {
  const side = section.dataset.side;
  const place = new Map(data.features.map((feature, index) => [feature, index]));
  document.addEventListener("mappoint", ({ detail }) => follow(detail));
  for (const detail of Object.values(last)) follow(detail);

  async function follow(detail) {
    if (detail.side === side) return;
    const pairs = await pairsOf(section);
    const found = pairs ? counterparts(pairs, detail, side) : sameLabels(data, detail.labels);
    show(found.map((feature) => place.get(feature)).filter((index) => index !== undefined));
  }

  const pairs = await pairsOf(section);
  const note = document.querySelector("[data-role=pairs]");
  if (!note) return;
  note.textContent = pairs
    ? `${pairs.length.toLocaleString("en")} pairs of features matched by |cosine| of their decoder rows` +
      (pairs.length === MOST ? " (the best of them; the others are not linked)." : ".")
    : "The two could not be compared, so features are linked where their labels are equal.";
}

export function point(section, data, indices) {
  const detail = {
    side: section.dataset.side,
    features: indices.map((index) => data.features[index]),
    labels: indices.map((index) => data.label[index]),
  };
  last[detail.side] = detail;
  document.dispatchEvent(new CustomEvent("mappoint", { detail }));
}

function counterparts(pairs, detail, side) {
  const [from, to] = side === "b" ? ["a", "b"] : ["b", "a"];
  const wanted = new Set(detail.features);
  return pairs.filter((pair) => wanted.has(pair[from])).map((pair) => pair[to]);
}

function sameLabels(data, labels) {
  const wanted = new Set(labels.filter(Boolean));
  return data.features.filter((_, index) => wanted.has(data.label[index]));
}
