// Small drawings of an answer as inline SVG: the interval, the series over years, the bars of other places.
import { h, s } from "../shared/dom.js";
import { amount, decimals, number, say, t } from "../shared/language.js";
import { ticks } from "./scales.js";

const WIDTH = 320;

/** Value and interval on the scale of the layer; ticks are the nearest plots. */
export function interval(answer, range) {
  const values = [answer.lower, answer.upper, ...answer.nearest.map((one) => one.observed), ...range].filter(Number.isFinite);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const at = (value) => 8 + ((value - low) / (high - low || 1)) * (WIDTH - 16);
  const svg = s("svg", { viewBox: `0 0 ${WIDTH} 46`, class: "interval", role: "img", "aria-label": t("answer.interval") });
  svg.append(s("line", { x1: 8, x2: WIDTH - 8, y1: 18, y2: 18, class: "axis" }));
  for (const value of ticks(low, high)) {
    svg.append(s("text", { x: at(value), y: 43, "text-anchor": "middle" }, number(value, decimals(high - low > 20 ? 20 : high - low))));
  }
  for (const { observed } of answer.nearest) {
    if (Number.isFinite(observed)) svg.append(s("line", { x1: at(observed), x2: at(observed), y1: 23, y2: 30, class: "plot" }));
  }
  if (Number.isFinite(answer.lower)) {
    svg.append(s("rect", { x: at(answer.lower), y: 13, width: Math.max(1, at(answer.upper) - at(answer.lower)), height: 10, rx: 5, class: "band" }));
  }
  svg.append(s("circle", { cx: at(answer.value), cy: 18, r: 6, class: "dot" }));
  return svg;
}

/** The series over years with its interval and trend; a click on a year shows it on the map. */
export function series(points, trend, year, unit, choose) {
  const [top, bottom, left] = [10, 92, 30];
  const values = points.flatMap((one) => [one.value, one.lower, one.upper]).filter(Number.isFinite);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const pad = (most - least || 1) * 0.06;
  const [low, high] = [least - pad, most + pad];
  const [first, last] = [points[0].year, points.at(-1).year];
  const x = (when) => left + 8 + ((when - first) / (last - first || 1)) * (WIDTH - left - 20);
  const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - top);
  const label = t("series.chart", {
    first,
    last,
    values: points.map((one) => `${one.year}: ${amount(one.value)}`).join(", "),
  });
  const svg = s("svg", { viewBox: `0 0 ${WIDTH} 116`, class: "series", role: "img", "aria-label": label });
  for (const value of ticks(low, high, 3)) {
    svg.append(
      s("line", { x1: left, x2: WIDTH, y1: y(value), y2: y(value), class: "grid" }),
      s("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value, decimals(high - low > 20 ? 20 : high - low))),
    );
  }
  const known = points.filter((one) => Number.isFinite(one.lower) && Number.isFinite(one.upper));
  if (known.length > 1) {
    const upper = known.map((one) => `${x(one.year)} ${y(one.upper)}`);
    const lower = known.map((one) => `${x(one.year)} ${y(one.lower)}`).reverse();
    svg.append(s("path", { d: `M${upper.join("L")}L${lower.join("L")}z`, class: "band" }));
  }
  svg.append(s("path", { d: `M${points.map((one) => `${x(one.year)} ${y(one.value)}`).join("L")}`, class: "line" }));
  if (trend) {
    const middle = points.reduce((sum, one) => sum + one.year, 0) / points.length;
    const mean = points.reduce((sum, one) => sum + one.value, 0) / points.length;
    const on = (when) => y(mean + trend.slope * (when - middle));
    svg.append(s("line", { x1: x(first), x2: x(last), y1: on(first), y2: on(last), class: "trend" }));
  }
  for (const one of points) {
    const dot = s("circle", { cx: x(one.year), cy: y(one.value), r: one.year === year ? 5 : 3.2, class: one.year === year ? "dot now" : "dot" });
    dot.append(s("title", {}, `${one.year}: ${amount(one.value)} ${unit}`));
    dot.addEventListener("click", () => choose(one.year));
    svg.append(dot);
  }
  svg.append(
    s("text", { x: x(first), y: 111, "text-anchor": "start" }, String(first)),
    s("text", { x: x(last), y: 111, "text-anchor": "end" }, String(last)),
  );
  return svg;
}

/** Sentence of the trend, and whether it may be none. */
export function trendSentence(trend, unit) {
  if (!Number.isFinite(trend.lower)) {
    return t("series.short", { slope: signedText(trend.slope, decimals(trend.slope)), unit });
  }
  const places = decimals(Math.max(Math.abs(trend.slope), Math.abs(trend.upper - trend.lower) / 4));
  const values = Object.fromEntries(["slope", "lower", "upper"].map((name) => [name, signedText(trend[name], places)]));
  const sentence = t("series.trend", { ...values, unit });
  return trend.lower <= 0 && trend.upper >= 0 ? `${sentence} ${t("series.flat")}` : sentence;
}

const signedText = (value, places) => (value > 0 ? "+" : "") + number(value, places);

/** Horizontal bars: [{name, value, here}]. */
export function bars(rows) {
  const most = Math.max(...rows.map((one) => one.value), 0);
  return h(
    "ul",
    { className: "bars" },
    rows.map((one) =>
      h(
        "li",
        { className: one.here ? "here" : "" },
        h("span", { className: "name" }, say(one.name)),
        s(
          "svg",
          { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
          s("rect", { width: Math.max(0.5, (100 * Math.max(0, one.value)) / (most || 1)), height: 10, rx: 1.5 }),
        ),
        h("span", { className: "value" }, amount(one.value)),
      ),
    ),
  );
}
