// Lines over one axis: curves of trainings, responses, correlation with distance.
import { ticks } from "../map/scales.js";
import { h, s } from "../shared/dom.js";
import { number } from "../shared/language.js";

const [WIDTH, HEIGHT] = [420, 220];
const [LEFT, RIGHT, TOP, BOTTOM] = [48, 12, 10, 40];
const STYLES = ["first", "second", "third", "fourth"];

/** Ticks and their texts, with the decimals that tell them apart. */
function scale(low, high, most, whole = false) {
  const values = ticks(low, high, most).filter((value) => !whole || Number.isInteger(value));
  const step = values.length > 1 ? values[1] - values[0] : Math.abs(values[0]) || 1;
  const places = Math.max(0, Math.min(6, Math.ceil(-Math.log10(step) - 1e-9) + (Math.abs((step / 10 ** Math.floor(Math.log10(step))) % 1) > 1e-6 ? 1 : 0)));
  return values.map((value) => [value, number(value, places)]);
}

/**
 * @param {object} options
 * @param {number[]} options.x
 * @param {{name: string, values: (number|null)[]}[]} options.lines
 * @param {string} options.label   for screen readers
 * @param {string} options.across   below the axis
 * @param {string} [options.up]   what the values are, above the axis
 * @param {boolean} [options.zero]   draw the line of 0
 * @param {[number, number]} [options.range]   of the values
 * @param {boolean} [options.whole]   only whole numbers along the axis
 * @param {boolean} [options.keyed]   say what the lines are
 */
export function lines({ x, lines: drawn, label, across, up, zero, range, keyed = true, whole = false, width = WIDTH, height = HEIGHT }) {
  const all = drawn.flatMap((one) => one.values).filter(Number.isFinite);
  let [low, high] = range ?? [Math.min(...all, ...(zero ? [0] : [])), Math.max(...all, ...(zero ? [0] : []))];
  if (!range) [low, high] = [low - (high - low || 1) * 0.05, high + (high - low || 1) * 0.05];
  const [first, last] = [x[0], x.at(-1)];
  const px = (value) => LEFT + ((value - first) / (last - first || 1)) * (width - LEFT - RIGHT);
  const py = (value) => height - BOTTOM - ((value - low) / (high - low || 1)) * (height - TOP - BOTTOM);
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, class: "lines", role: "img", "aria-label": label });
  for (const [value, text] of scale(low, high, 4)) {
    svg.append(
      s("line", { x1: LEFT, x2: width - RIGHT, y1: py(value), y2: py(value), class: zero && value === 0 ? "zero" : "grid" }),
      s("text", { x: LEFT - 6, y: py(value) + 4, "text-anchor": "end" }, text),
    );
  }
  for (const [value, text] of scale(first, last, width < 400 ? 4 : 6, whole)) {
    svg.append(s("text", { x: px(value), y: height - BOTTOM + 16, "text-anchor": "middle" }, text));
  }
  svg.append(s("text", { x: (LEFT + width - RIGHT) / 2, y: height - 5, "text-anchor": "middle", class: "axis" }, across));
  drawn.forEach((one, i) => {
    const points = one.values.map((value, k) => (Number.isFinite(value) ? `${px(x[k])} ${py(value)}` : null)).filter(Boolean);
    if (points.length) svg.append(s("path", { d: `M${points.join("L")}`, class: `line ${STYLES[i % STYLES.length]}` }));
    if (points.length === 1) svg.append(s("circle", { cx: points[0].split(" ")[0], cy: points[0].split(" ")[1], r: 3, class: `dot ${STYLES[i]}` }));
  });
  const shown = drawn.length > 1 && keyed ? drawn.map((one) => one.name) : [];
  return h("figure", { className: "chart" }, (up || shown.length > 0) && key(shown, up), svg);
}

/** What the styles of the lines mean. */
export const key = (names, title = "") =>
  h(
    "p",
    { className: "key note" },
    title && h("span", {}, title),
    names.map((name, i) =>
      h("span", {}, s("svg", { viewBox: "0 0 24 8", "aria-hidden": "true" }, s("path", { d: "M0 4H24", class: `line ${STYLES[i % STYLES.length]}` })), name),
    ),
  );
