// Heat-map of a table of numbers: drawn on a canvas, read out below, walked by mouse and by arrow keys.
import { h } from "../shared/dom.js";
import { colour } from "../shared/theme.js";
import { css, inkOn } from "./colours.js";

/** Width of the names beside the cells, CSS pixels. */
export const sideOf = (names) => Math.min(92, 12 + 6.6 * Math.max(...names.map((name) => name.length)));

/**
 * @param {object} options
 * @param {number} options.rows
 * @param {number} options.cols
 * @param {ArrayLike<number>} options.values   row by row; NaN: nothing there
 * @param {(value: number) => number[]} options.paint
 * @param {string[]} options.names   of rows and columns
 * @param {string} options.label   for screen readers
 * @param {(row: number, col: number, value: number) => void} options.point   mouse or key is on a cell
 * @param {(row: number, col: number) => void} [options.choose]   a cell is clicked
 * @param {(value: number) => string} [options.write]   numbers in the cells where they fit
 * @param {number} options.width   CSS pixels of the cells together
 */
export function heat(options) {
  const { rows, cols, values, paint, names, label, point, choose, write } = options;
  const side = sideOf(names);
  const cell = Math.max(13, Math.min(46, Math.floor(options.width / cols)));
  const [width, height] = [side + cols * cell + 1, side + rows * cell + 1];
  const canvas = h("canvas", { tabindex: 0, role: "application", "aria-label": label, className: "heat" });
  const sharp = Math.min(2, window.devicePixelRatio || 1) < 1.5 ? 1 : 2;
  [canvas.width, canvas.height] = [width * sharp, height * sharp];
  canvas.style.aspectRatio = `${width} / ${height}`;
  canvas.style.width = `${width}px`;
  const context = canvas.getContext("2d");
  context.scale(sharp, sharp);
  let at = null;

  function draw() {
    context.clearRect(0, 0, width, height);
    context.font = `${cell >= 30 ? 12 : 11}px ${getComputedStyle(document.body).fontFamily}`;
    context.textBaseline = "middle";
    for (let row = 0; row < rows; row++) {
      for (let col = 0; col < cols; col++) {
        const value = values[row * cols + col];
        if (!Number.isFinite(value)) continue;
        const shade = paint(value);
        context.fillStyle = css(shade);
        context.fillRect(side + col * cell, side + row * cell, cell - 1, cell - 1);
        if (write && cell >= 29) {
          context.fillStyle = inkOn(shade);
          context.textAlign = "center";
          context.fillText(write(value), side + (col + 0.5) * cell, side + (row + 0.5) * cell);
        }
      }
    }
    labels();
    if (at) {
      context.strokeStyle = colour("ink");
      context.lineWidth = 2;
      context.strokeRect(side + at[1] * cell - 0.5, side + at[0] * cell - 0.5, cell, cell);
    }
  }

  function labels() {
    names.forEach((name, i) => {
      context.fillStyle = at && at[0] === i ? colour("accent") : colour("muted");
      context.textAlign = "right";
      if (i < rows) context.fillText(name, side - 5, side + (i + 0.5) * cell, side - 6);
      context.save();
      context.fillStyle = at && at[1] === i ? colour("accent") : colour("muted");
      context.translate(side + (i + 0.5) * cell, side - 5);
      context.rotate(-Math.PI / 2);
      context.textAlign = "left";
      context.fillText(name, 0, 0, side - 6);
      context.restore();
    });
  }

  function show(row, col) {
    at = [row, col];
    draw();
    point?.(row, col, values[row * cols + col]);
  }

  function cellOf(event) {
    const box = canvas.getBoundingClientRect();
    const zoom = width / box.width;
    const [row, col] = [event.clientY - box.top, event.clientX - box.left].map((v) => Math.floor((v * zoom - side) / cell));
    return row >= 0 && col >= 0 && row < rows && col < cols ? [row, col] : null;
  }

  canvas.addEventListener("pointermove", (event) => {
    const found = cellOf(event);
    if (found && String(found) !== String(at)) show(...found);
  });
  canvas.addEventListener("click", (event) => {
    const found = cellOf(event);
    if (!found) return;
    show(...found);
    choose?.(...found);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.key === "Enter" && at) choose?.(...at);
    if (!step) return;
    event.preventDefault();
    const [row, col] = at ?? [0, 0];
    show(Math.max(0, Math.min(rows - 1, row + (at ? step[0] : 0))), Math.max(0, Math.min(cols - 1, col + (at ? step[1] : 0))));
  });
  draw();
  return { element: canvas, show, draw };
}
