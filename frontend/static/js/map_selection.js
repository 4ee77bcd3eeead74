// The list below the map of what was lassoed, and the same list as a CSV.

import { poleName, signed, visible } from "./numbers.js";

const SHOWN = 200;
const COLUMNS = [
  "feature",
  "label_neg",
  "label_pos",
  "balance",
  "density_neg",
  "density_pos",
  "opposition",
  "x",
  "y",
];

let address = null;

export function showSelection(section, data, indices) {
  const part = (role) => section.querySelector(`[data-role=${role}]`);
  part("selection").hidden = !indices.length;
  const more = indices.length > SHOWN ? `, the first ${SHOWN} listed` : "";
  part("selection-title").textContent = `${indices.length} features selected${more}`;
  part("selection-list").replaceChildren(
    ...indices.slice(0, SHOWN).map((index) => item(section.dataset.sae, data, index)),
  );
  if (address) URL.revokeObjectURL(address);
  address = URL.createObjectURL(new Blob([csv(data, indices)], { type: "text/csv" }));
  part("selection-csv").href = address;
}

function item(sae, data, index) {
  const entry = document.createElement("li");
  const link = document.createElement("a");
  link.href = `/sae/${sae}/feature/${data.features[index]}`;
  const minus = poleName(data.label_neg[index], data.max_neg[index]);
  const plus = poleName(data.label_pos[index], data.max_pos[index]);
  link.textContent = visible(`${data.features[index]}  − ${minus} ↔ ${plus} +`);
  const balance = document.createElement("span");
  balance.className = "small quiet";
  balance.textContent = `balance ${signed(data.balance[index])}`;
  entry.append(link, balance);
  return entry;
}

function csv(data, indices) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const values = { ...data, feature: data.features };
  const rows = indices.map((index) => COLUMNS.map((name) => cell(values[name][index])).join(","));
  return `${[COLUMNS.join(","), ...rows].join("\r\n")}\r\n`;
}
