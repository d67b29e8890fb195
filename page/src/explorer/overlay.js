// A picture with a grid of numbers over it: patches of an image, pixels of a chip.
import { h } from "../shared/dom.js";
import { colour } from "../shared/theme.js";

const SIZE = 640;

/**
 * @param {object} options
 * @param {string} options.picture   data: address
 * @param {[number, number]} options.grid   rows and columns
 * @param {string} options.label
 * @param {(cell: number) => void} options.point   mouse or key is on a cell
 * @param {(cell: number) => void} [options.choose]
 */
export function overlay({ picture, grid: [rows, cols], label, point, choose }) {
  const height = Math.round((SIZE * rows) / cols);
  const image = h("img", { src: picture, alt: "" });
  const canvas = h("canvas", { tabindex: 0, role: "application", "aria-label": label });
  [canvas.width, canvas.height] = [SIZE, height];
  const element = h("div", { className: "overlay" }, image, canvas);
  element.style.aspectRatio = `${cols} / ${rows}`;
  const context = canvas.getContext("2d");
  const cell = SIZE / cols;
  let [values, paint, at, query, strength] = [[], () => [0, 0, 0], null, null, 0.75];

  function draw() {
    context.clearRect(0, 0, SIZE, height);
    for (let i = 0; i < rows * cols; i++) {
      const [x, y] = [(i % cols) * cell, Math.floor(i / cols) * cell];
      if (Number.isFinite(values[i])) {
        const [r, g, b] = paint(values[i]);
        context.fillStyle = `rgb(${r} ${g} ${b} / ${strength})`;
        context.fillRect(x, y, cell, cell);
      }
    }
    context.lineWidth = 1;
    context.strokeStyle = "rgb(255 255 255 / .35)";
    for (let i = 1; i < cols; i++) stroke(i * cell, 0, i * cell, height);
    for (let i = 1; i < rows; i++) stroke(0, i * cell, SIZE, i * cell);
    frame(query, colour("series"), 6);
    frame(at, "#ffffff", 3);
  }

  function stroke(...ends) {
    context.beginPath();
    context.moveTo(ends[0], ends[1]);
    context.lineTo(ends[2], ends[3]);
    context.stroke();
  }

  function frame(i, style, wide) {
    if (i === null) return;
    context.strokeStyle = style;
    context.lineWidth = wide;
    context.strokeRect((i % cols) * cell + wide / 2, Math.floor(i / cols) * cell + wide / 2, cell - wide, cell - wide);
  }

  function cellOf(event) {
    const box = canvas.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
    const col = Math.floor(((event.clientX - box.left) / box.width) * cols);
    return Math.max(0, Math.min(rows - 1, row)) * cols + Math.max(0, Math.min(cols - 1, col));
  }

  function show(i) {
    at = i;
    draw();
    point(i, values[i]);
  }

  canvas.addEventListener("pointermove", (event) => cellOf(event) !== at && show(cellOf(event)));
  canvas.addEventListener("click", (event) => {
    show(cellOf(event));
    choose?.(at);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -cols, ArrowDown: cols, ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Enter" && at !== null) choose?.(at);
    if (!step) return;
    event.preventDefault();
    const next = at === null ? 0 : at + step;
    if (next >= 0 && next < rows * cols) show(next);
  });
  return {
    element,
    /** New numbers; `from` is the cell that attends, or null. */
    fill(numbers, colours, from = null) {
      [values, paint, query] = [numbers, colours, from];
      draw();
    },
    fade(share) {
      strength = share;
      draw();
    },
  };
}
