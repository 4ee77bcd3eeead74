// One edit of the steering page: its slider and number field, what it is worth in three ways, and
// how an address carries it. Knows no network.

import { signed } from "./numbers.js";
import { positionOf, strengthAt } from "./strength.js";

export class EditControls {
  constructor(root, edit, changed, reload) {
    this.root = root;
    this.given = edit;
    this.size = null;
    const part = (role) => root.querySelector(`[data-role=${role}]`);
    this.slider = part("slider");
    this.number = part("strength");
    this.readout = part("readout");
    this.operation = part("operation");
    this.pole = part("pole");
    this.value = part("value");
    this.slider.addEventListener("input", () => {
      this.number.value = Number(strengthAt(this.slider.valueAsNumber, edit).toPrecision(6));
      changed();
    });
    this.number.addEventListener("input", () => {
      this.slider.value = this.position;
      changed();
    });
    this.pole.addEventListener("change", changed);
    // Another operation has another slider: the server draws it.
    this.operation.addEventListener("change", () => {
      const isOther = (this.operation.value === "scale") !== (edit.operation === "scale");
      reload(isOther ? this : null);
    });
  }

  get edit() {
    return {
      ...this.given,
      operation: this.operation.value,
      strength: this.number.valueAsNumber || 0,
      pole: { both: "both", minus: "-", plus: "+" }[this.poleName],
    };
  }

  get poleName() {
    return this.operation.value === "scale" ? this.pole.value : "both";
  }

  get position() {
    return positionOf(this.number.valueAsNumber || 0, this.given);
  }

  get message() {
    const { sae, feature, operation, strength, pole } = this.edit;
    return { sae, feature, operation, strength, pole };
  }

  moveTo(position) {
    this.slider.value = position;
    this.number.value = Number(strengthAt(position, this.given).toPrecision(6));
  }

  // In the form SAE.FEATURE.OPERATION.STRENGTH[.POLE]; a fresh operation starts where it is plain.
  text(isFresh = false) {
    const { sae, feature, operation, strength } = this.edit;
    const start = operation === "scale" ? -1 : Math.abs(this.given.poles["+"].quantile_999);
    const pole = this.poleName === "both" ? "" : `.${this.poleName}`;
    return `${sae}.${feature}.${operation}.${isFresh ? start : strength}${pole}`;
  }

  describe() {
    if (this.value) this.value.value = this.text();
    this.readout.textContent = this.sentence();
    this.slider.setAttribute("aria-valuetext", this.readout.textContent);
  }

  sentence() {
    const { operation, strength } = this.edit;
    if (operation === "scale") return factorSentence(strength);
    if (operation === "add" && !this.position) return "c = 0, exactly unsteered";
    const glyph = this.position < 0 ? "−" : "+";
    const ways = [
      `c = ${signed(strength)}`,
      `${Math.abs(this.position).toFixed(2)} × the ${glyph} pole’s 99.9 % quantile`,
    ];
    if (this.size) {
      const share = (Math.abs(strength) * this.size.unit_norm) / this.size.median_norm;
      ways.push(
        `‖c·d‖ = ${share.toFixed(2)} × median ‖h‖ of this prompt at layer ${this.size.layer}`,
      );
    }
    return ways.join(" · ");
  }
}

function factorSentence(factor) {
  const meaning =
    { "-1": ", poles swapped", 0: ", ablated", 1: ", exactly unsteered" }[factor] ?? "";
  return `code × ${signed(factor)}${meaning}`;
}
