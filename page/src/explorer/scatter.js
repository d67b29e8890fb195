// Plots as points in the plane of an embedding; a click chooses the nearest point.
import { h } from "../shared/dom.js";
import { colour } from "../shared/theme.js";

const SIZE = 900;
const PAD = 26;

/**
 * @param {object} options
 * @param {ArrayLike<number>} options.xy   x and y in turn
 * @param {string} options.label
 * @param {(i: number) => void} options.choose
 * @param {(i: number) => void} options.point   the mouse is near a point
 */
export function scatter({ xy, label, choose, point }) {
  const count = xy.length / 2;
  const canvas = h("canvas", { tabindex: 0, role: "application", "aria-label": label, className: "scatter" });
  [canvas.width, canvas.height] = [SIZE, SIZE];
  const context = canvas.getContext("2d");
  const axis = (k) => Array.from({ length: count }, (_, i) => xy[2 * i + k]);
  const [xs, ys] = [axis(0), axis(1)];
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = (SIZE - 2 * PAD) / Math.max(right - left, high - low, 1e-12);
  const px = (i) => SIZE / 2 + (xs[i] - (left + right) / 2) * scale;
  const py = (i) => SIZE / 2 - (ys[i] - (low + high) / 2) * scale;
  let [paint, at] = [() => "", null];

  function draw() {
    context.clearRect(0, 0, SIZE, SIZE);
    const radius = count > 1500 ? 4.2 : 5.2;
    context.strokeStyle = colour("paper");
    context.lineWidth = 1;
    for (let i = 0; i < count; i++) {
      context.fillStyle = paint(i);
      context.beginPath();
      context.arc(px(i), py(i), radius, 0, 2 * Math.PI);
      context.fill();
      if (count <= 1500) context.stroke();
    }
    if (at === null) return;
    context.strokeStyle = colour("ink");
    context.lineWidth = 3;
    context.beginPath();
    context.arc(px(at), py(at), radius + 6, 0, 2 * Math.PI);
    context.stroke();
  }

  function nearest(event, reach) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top].map((v) => (v * SIZE) / box.width);
    let [best, least] = [null, reach ** 2];
    for (let i = 0; i < count; i++) {
      const distance = (px(i) - x) ** 2 + (py(i) - y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }

  function mark(i) {
    at = i;
    draw();
  }

  canvas.addEventListener("pointermove", (event) => {
    const found = nearest(event, 24);
    if (found !== null) point(found);
  });
  canvas.addEventListener("click", (event) => {
    const found = nearest(event, 60);
    if (found === null) return;
    mark(found);
    choose(found);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter" && at !== null) choose(at);
    if (!step) return;
    event.preventDefault();
    mark(at === null ? 0 : (at + step + count) % count);
    point(at);
  });
  return {
    element: canvas,
    mark,
    paint(colours) {
      paint = colours;
      draw();
    },
  };
}
