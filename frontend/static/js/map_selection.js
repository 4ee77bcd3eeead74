// The table below the map of what was lassoed, the same as a CSV, and as stars of the reader's list.

import { percent, poleName, signed, visible } from "./numbers.js";
import { add, MOST } from "./starred.js";

const SHOWN = 200;
const COLUMNS = [
  "feature",
  "label_neg",
  "label_pos",
  "pole_balance",
  "density_neg",
  "density_pos",
  "opposition",
  "x",
  "y",
];

const addresses = new WeakMap(); // of each map's CSV: two maps may stand on one page

export function showSelection(section, data, indices) {
  const part = (role) => section.querySelector(`[data-role=${role}]`);
  const { sae } = section.dataset;
  part("selection").hidden = !indices.length;
  const more = indices.length > SHOWN ? `, the first ${SHOWN} listed` : "";
  part("selection-title").textContent = `${indices.length} features selected${more}`;
  const rows = indices.slice(0, SHOWN).map((index) => row(sae, data, index));
  part("selection-rows").replaceChildren(...rows);
  part("selection-star").onclick = () => {
    star(
      indices.map((index) => `${sae}.${data.features[index]}`),
      part("selection-title"),
    );
  };
  URL.revokeObjectURL(addresses.get(section));
  const address = URL.createObjectURL(new Blob([csv(data, indices)], { type: "text/csv" }));
  addresses.set(section, address);
  part("selection-csv").href = address;
}

function row(sae, data, index) {
  const link = document.createElement("a");
  link.href = `/sae/${sae}/feature/${data.features[index]}`;
  const minus = poleName(data.label_neg[index], data.max_neg[index]);
  const plus = poleName(data.label_pos[index], data.max_pos[index]);
  link.textContent = visible(`− ${minus} ↔ ${plus} +`);
  const name = document.createElement("td");
  name.className = "main-cell";
  name.append(link);
  const entry = document.createElement("tr");
  entry.append(
    figure(data.features[index]),
    name,
    figure(percent(data.density_neg[index]), "neg"),
    figure(percent(data.density_pos[index]), "pos"),
    figure(signed(data.balance[index])),
    figure(signed(data.opposition[index])),
  );
  return entry;
}

function figure(text, pole = "") {
  const cell = document.createElement("td");
  cell.className = `num ${pole}`.trim();
  cell.textContent = text;
  return cell;
}

// Opens the list; where not all fit on it, stays and says so first.
function star(keys, title) {
  const left = add(keys);
  if (!left) {
    location.assign("/list");
    return;
  }
  const list = document.createElement("a");
  list.href = "/list";
  list.textContent = "your list";
  title.replaceChildren(`${left} of ${keys.length} features did not fit on `, list, `: it holds ${MOST}`);
}

function csv(data, indices) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const values = { ...data, feature: data.features, pole_balance: data.balance };
  const rows = indices.map((index) => COLUMNS.map((name) => cell(values[name][index])).join(","));
  return `${[COLUMNS.join(","), ...rows].join("\r\n")}\r\n`;
}
