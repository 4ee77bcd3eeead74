// Slider positions and strengths. Position ±1 is the 99.9 % quantile of that pole; a pole that
// never fires has no scale, so it has no strengths either. For `scale` both are the factor itself.

export function strengthAt(position, edit) {
  if (edit.operation === "scale") return position;
  if (!position) return 0;
  return position * scaleOf(position, edit);
}

export function positionOf(strength, edit) {
  if (edit.operation === "scale") return strength;
  const scale = scaleOf(strength, edit);
  return strength && scale ? strength / scale : 0;
}

// The rows of the columns −, 0 and +: a strength per edit, null where the row leaves it out. The
// side of the first slider is as the sliders stand; the other side is all of them mirrored.
export function columnRows(edits) {
  const [first] = edits;
  const chosen = positionOf(first.strength, first) < 0 ? "-" : "+";
  const rows = [{ column: "0", strengths: edits.map(() => null) }];
  const side = (column) => edits.map((edit) => strengthOn(edit, column === chosen));
  if (isOpen("-", first)) rows.unshift({ column: "-", strengths: side("-") });
  if (isOpen("+", first)) rows.push({ column: "+", strengths: side("+") });
  return rows;
}

// Nine positions over the whole slider, its neutral one among them.
export function sweepPositions(edit) {
  const low = edit.operation === "scale" ? -3 : isOpen("-", edit) ? -4 : 0;
  const high = edit.operation === "scale" ? 3 : isOpen("+", edit) ? 4 : 0;
  return Array.from({ length: 9 }, (_, index) => low + ((high - low) * index) / 8);
}

function strengthOn(edit, isChosen) {
  const position = positionOf(edit.strength, edit);
  if (isChosen) return position || edit.operation === "scale" ? edit.strength : 0;
  const mirrored = -position || 0;
  return mirrored && !isOpen(mirrored < 0 ? "-" : "+", edit) ? null : strengthAt(mirrored, edit);
}

function isOpen(pole, edit) {
  return edit.operation === "scale" || Boolean(edit.poles[pole].quantile_999);
}

function scaleOf(signed, edit) {
  return Math.abs(edit.poles[signed > 0 ? "+" : "-"].quantile_999);
}
