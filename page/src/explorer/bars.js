// Horizontal bars with their numbers: next tokens, classes, scores, importance.
import { h, s } from "../shared/dom.js";

/**
 * @param {{name: string, value: number, text: string, strong?: boolean, spread?: number}[]} rows
 * @param {{label: string, most?: number, least?: number}} options   least: where the axis begins
 */
export function bars(rows, { label, most, least = 0 }) {
  const high = most ?? Math.max(...rows.map((one) => one.value + (one.spread ?? 0)), 1e-12);
  const low = Math.min(least, ...rows.map((one) => one.value - (one.spread ?? 0)));
  const at = (value) => (100 * (value - low)) / (high - low || 1);
  return h(
    "ol",
    { className: "bars", "aria-label": label },
    rows.map((one) => {
      const [from, to] = [at(0), at(one.value)].sort((a, b) => a - b);
      const drawing = s(
        "svg",
        { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
        s("rect", { class: one.value < 0 ? "below" : "", x: from, width: Math.max(0.4, to - from), y: 1, height: 8 }),
      );
      if (low < 0) drawing.append(s("line", { class: "zero", x1: at(0), x2: at(0), y1: -2, y2: 12 }));
      if (one.spread) {
        const ends = [one.value - one.spread, one.value + one.spread].map(at);
        drawing.append(s("line", { x1: ends[0], x2: ends[1], y1: 5, y2: 5 }));
      }
      return h(
        "li",
        { className: one.strong ? "strong" : "" },
        h("span", { className: "name" }, one.name),
        drawing,
        h("span", { className: "value" }, one.text),
      );
    }),
  );
}
