// The chip in true colour, and over it what the prediction rests on.
import { h } from "../shared/dom.js";
import { amount, percent, say, t } from "../shared/language.js";
import { titled } from "../shared/terms.js";
import { rgb, scaleOf } from "./scales.js";

const SIZE = 224; // pixels of the drawing

/** Draw the grid of numbers as transparent squares: opaque where the number is large. */
function overlay(canvas, grid, strength) {
  const context = canvas.getContext("2d");
  const side = grid.length;
  const cell = SIZE / side;
  const most = Math.max(...grid.flat().map(Math.abs)) || 1;
  context.clearRect(0, 0, SIZE, SIZE);
  grid.forEach((row, y) =>
    row.forEach((value, x) => {
      const share = Math.abs(value) / most;
      const [r, g, b] = rgb(scaleOf("viridis")[Math.round(255 * share)]);
      context.fillStyle = `rgba(${r}, ${g}, ${b}, ${(0.25 + 0.7 * share) * strength})`;
      context.fillRect(Math.floor(x * cell), Math.floor(y * cell), Math.ceil(cell), Math.ceil(cell));
    }),
  );
}

/** Section with the chip, its overlay and a slider between the two; nothing without a grid. */
export function chip(answer) {
  const { kind, grid, centre, side } = answer;
  const canvas = h("canvas", { width: SIZE, height: SIZE, "aria-hidden": "true" });
  const slider = h("input", {
    type: "range",
    min: 0,
    max: 100,
    value: 70,
    "aria-label": t("chip.overlay"),
    oninput: () => overlay(canvas, grid, slider.value / 100),
  });
  slider.value = 70;
  const image = h("img", { src: answer.chip, width: SIZE, height: SIZE, alt: t("chip.alt", { kind: t(`kind.${kind}`) }) });
  if (grid) overlay(canvas, grid, 0.7);
  const share = kind === "attention" && centre ? grid?.[centre[0]]?.[centre[1]] : null;
  const about =
    kind === "attention" ? t("chip.attention", { side }) : t("chip.occlusion", { unit: say(answer.unit) });
  return h(
    "section",
    {},
    titled(h("h3", {}, t("chip.title"), answer.year !== null && `, ${answer.year}`), "chip", kind),
    answer.note && h("p", { className: "note" }, say(answer.note)),
    h(
      "div",
      { className: "chip-row" },
      h("div", { className: "chip-picture" }, image, grid && canvas),
      h(
        "div",
        {},
        h("p", { className: "note" }, about),
        Number.isFinite(share) && h("p", { className: "note" }, t("chip.centre", { share: percent(share) })),
        kind === "occlusion" && grid && h("p", { className: "note" }, `${amount(Math.min(...grid.flat()))} … ${amount(Math.max(...grid.flat()))}`),
        grid && h("label", { className: "note" }, t("chip.overlay"), slider),
      ),
    ),
  );
}
