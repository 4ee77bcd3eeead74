// Numbers, signs and tokens as text and class names: the browser's half of frontend/filters.py.
// tests/browser compares the two on the same values.

const LADDER = 10;
export const MINUS = "\u2212";
const VISIBLE = { "\n": "↵", "\r": "␍", "\t": "⇥" };

export function signed(value, digits = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "\u2013";
  if (value === 0) return "0";
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text; // a sign would say more than is shown
  return `${value > 0 ? "+" : MINUS}${text}`;
}

export function percent(value, digits = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "\u2013";
  if (value === 0) return "0 %";
  const share = value * 100;
  if (Math.abs(share) >= 10 ** -digits) return `${share.toFixed(digits)} %`;
  const floor = 10 ** -(digits + 2);
  return Math.abs(share) < floor ? `< ${floor.toFixed(digits + 2)} %` : `${share.toFixed(digits + 2)} %`;
}

export function spoken(value) {
  const size = Number(Math.abs(value ?? 0).toFixed(2));
  return size ? `${value > 0 ? "plus" : "minus"} ${size}` : "zero";
}

export function ladder(value, scale) {
  if (value === 0 || scale <= 0) return "pos-0";
  const step = Math.min(LADDER, Math.max(1, Math.ceil((LADDER * Math.abs(value)) / scale - 1e-9)));
  return `${value > 0 ? "pos" : "neg"}-${step}`;
}

export function poleName(label, extreme) {
  return label || (extreme ? "unlabelled" : "never fires");
}

export function visible(token) {
  if (token && !token.replaceAll(" ", "")) return "·".repeat(token.length);
  return Array.from(token, visibleCharacter).join("");
}

function visibleCharacter(character) {
  if (VISIBLE[character]) return VISIBLE[character];
  const code = character.codePointAt(0);
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "␡";
  if (/[\p{Cf}\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(character)) {
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  }
  return character;
}
