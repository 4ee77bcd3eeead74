// Slider positions and strengths. Position ±1 is the 99.9 % quantile of that pole; a pole that
// never fires has no scale, so it has no strengths either.

export function strengthAt(position, poles) {
  if (!position) return 0;
  return position * Math.abs(poles[position > 0 ? "+" : "-"].quantile_999);
}

export function positionOf(strength, poles) {
  const scale = Math.abs(poles[strength > 0 ? "+" : "-"].quantile_999);
  return strength && scale ? strength / scale : 0;
}

// The strengths of the columns −, 0 and +, in that order; poles without a scale are left out.
export function columnStrengths(position, poles) {
  const size = Math.abs(position);
  const rows = [{ column: "0", strength: 0 }];
  if (poles["-"].quantile_999) rows.unshift({ column: "-", strength: strengthAt(-size, poles) });
  if (poles["+"].quantile_999) rows.push({ column: "+", strength: strengthAt(size, poles) });
  return rows;
}
