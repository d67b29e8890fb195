// The chooser of layer and head: a small picture of each head's pattern, as radio buttons.
import { h } from "../shared/dom.js";
import { t } from "../shared/language.js";

/**
 * @param {object} options
 * @param {string[]} options.layers   names of the layers
 * @param {number} options.heads
 * @param {(layer: number, head: number) => {rows: number, cols: number, values: ArrayLike<number>}} options.picture
 * @param {(share: number) => number[]} options.paint   of a value relative to the largest of its picture
 * @param {(layer: number, head: number) => void} options.choose
 * @param {[number, number]} [options.at]
 */
export function headChooser({ layers, heads, picture, paint, choose, at = [0, 0] }) {
  const buttons = [];
  const group = h("div", { className: "heads", role: "radiogroup", "aria-label": t("heads.title") });

  function select(layer, head, focus) {
    at = [layer, head];
    for (const one of buttons) {
      const on = one.layer === layer && one.head === head;
      one.element.setAttribute("aria-checked", on);
      one.element.setAttribute("tabindex", on ? 0 : -1);
      if (on && focus) one.element.focus();
    }
    choose(layer, head);
  }

  layers.forEach((name, layer) => {
    const row = h("div", { className: "row" }, h("span", { className: "name", "aria-hidden": "true" }, name));
    for (let head = 0; head < heads; head++) {
      const canvas = h("canvas", { "aria-hidden": "true" });
      const element = h(
        "button",
        {
          type: "button",
          role: "radio",
          "aria-label": t("heads.one", { layer: name, head: head + 1 }),
          title: t("heads.one", { layer: name, head: head + 1 }),
          onclick: () => select(layer, head, false),
        },
        canvas,
      );
      buttons.push({ element, layer, head, canvas });
      row.append(element);
    }
    group.append(row);
  });
  group.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = [(at[0] + step[0] + layers.length) % layers.length, (at[1] + step[1] + heads) % heads];
    select(...next, true);
  });

  /** Draw the small pictures, for example after another token was chosen. */
  function draw() {
    for (const { canvas, layer, head } of buttons) thumbnail(canvas, picture(layer, head), paint);
  }

  draw();
  return { element: group, select, draw, current: () => at };
}

function thumbnail(canvas, { rows, cols, values }, paint) {
  [canvas.width, canvas.height] = [cols, rows];
  const context = canvas.getContext("2d");
  const image = context.createImageData(cols, rows);
  let most = 0;
  for (const value of values) if (value > most) most = value;
  for (let i = 0; i < rows * cols; i++) {
    const value = values[i];
    const [r, g, b] = Number.isFinite(value) ? paint(value / (most || 1)) : [0, 0, 0];
    image.data.set([r, g, b, Number.isFinite(value) ? 255 : 0], i * 4);
  }
  context.putImageData(image, 0, 0);
}
