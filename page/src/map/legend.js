// The legend: title, unit and grain, the colours with round numbers, how the values in view are distributed,
// and a mark at the value under the pointer.
import { h, s } from "../shared/dom.js";
import { amount, decimals, number, say, t } from "../shared/language.js";
import { colourOf, hasValue, ticks, valueOf } from "./scales.js";
import { SIDE } from "./tiles.js";
import { toLat } from "./mercator.js";
import { yearName } from "./years.js";

const WIDTH = 300;
const BINS = 60;
const HILL = 30;

export const length = (metres) =>
  metres >= 1000 ? `${amount(metres / 1000)} km` : `${amount(metres)} m`;

/** Line under the title: unit, grain. */
export function subtitle(run, layer, year) {
  const parts = [say(layer.unit), layer.years ? yearName(year) : ""];
  if (layer.group === "richness" && run.grain) parts.push(say(run.grain));
  if (run.grain_m) parts.push(t("legend.grain", { size: length(run.grain_m) }));
  return parts.filter(Boolean).join(" · ");
}

/** Text of a tick; all ticks of a scale have the same decimals. */
export function tickLabels(layer) {
  const [low, high] = layer.range;
  const marks = ticks(low, high);
  const step = marks.length > 1 ? marks[1] - marks[0] : high - low;
  const text = String(+step.toPrecision(6));
  const places = text.includes(".") ? text.split(".")[1].length : 0;
  return marks.map((value) => [value, number(value, Math.min(places, 6))]);
}

/** Area-weighted shares of the values in a box of the world by bin of the scale, from decoded tiles. */
export function histogram(tiles, layer, box) {
  const counts = new Float64Array(BINS);
  const [low, high] = layer.range;
  for (const { data, z, x: tileX, y: tileY } of tiles) {
    const world = SIDE * 2 ** z;
    for (let row = 0; row < SIDE; row += 2) {
      const y = (tileY * SIDE + row) / world;
      if (y < box.top || y > box.bottom) continue;
      const weight = Math.cos((toLat(y) * Math.PI) / 180) ** 2;
      for (let column = 0; column < SIDE; column += 2) {
        const x = (tileX * SIDE + column) / world;
        if (x < box.left || x > box.right) continue;
        const at = 4 * (row * SIDE + column);
        if (!hasValue(data.data[at + 2])) continue;
        const value = valueOf(layer, data.data[at] * 256 + data.data[at + 1]);
        const bin = Math.floor(((value - low) / (high - low)) * BINS);
        if (bin >= 0 && bin < BINS) counts[bin] += weight;
      }
    }
  }
  return counts;
}

/** The band of colours with its ticks; with room for the distribution above it, or without. */
function bar(layer, room = true) {
  const top = room ? 0 : HILL;
  const svg = s("svg", { viewBox: `0 ${top} ${WIDTH} ${HILL + 40 - top}`, className: "scale", "aria-hidden": "true" });
  const hill = s("g", { class: "hill" });
  const band = s("g", {});
  const [low, high] = layer.range;
  const steps = 100;
  for (let k = 0; k < steps; k++) {
    const value = low + ((k + 0.5) / steps) * (high - low);
    band.append(s("rect", { x: (k * WIDTH) / steps, y: HILL + 2, width: WIDTH / steps + 0.4, height: 11, fill: colourOf(layer, value) }));
  }
  const at = (value) => ((value - low) / (high - low)) * WIDTH;
  const labels = tickLabels(layer).map(([value, text]) => {
    const x = at(value);
    const anchor = x < 8 ? "start" : x > WIDTH - 8 ? "end" : "middle";
    return [
      s("line", { x1: x, x2: x, y1: HILL + 13, y2: HILL + 18, class: "tick" }),
      s("text", { x, y: HILL + 32, "text-anchor": anchor }, text),
    ];
  });
  const needle = s("path", { class: "needle", d: `M0 ${HILL + 1}l-5 -8h10z`, visibility: "hidden" });
  svg.append(hill, band, ...labels.flat(), needle);
  return { svg, hill, needle, at };
}

function classes(layer) {
  return h(
    "ul",
    { className: "classes" },
    layer.classes.map((one) => h("li", {}, chipOf(one.colour), say(one.title))),
  );
}

function chipOf(colour) {
  return s("svg", { class: "chip", viewBox: "0 0 16 16", "aria-hidden": "true" }, s("rect", { width: 16, height: 16, rx: 3, fill: colour }));
}

const hatchSample = () =>
  s(
    "svg",
    { class: "chip", viewBox: "0 0 16 16", "aria-hidden": "true" },
    s("rect", { width: 16, height: 16, rx: 3, class: "sample" }),
    s("path", { d: "M0 8 8 0M0 16 16 0M8 16 16 8", class: "lines" }),
  );

const maskedSample = () =>
  s("svg", { class: "chip", viewBox: "0 0 16 16", "aria-hidden": "true" }, s("rect", { width: 16, height: 16, rx: 3, class: "masked" }));

/** Legend of the layer on the map; `element`, `show(...)`, `fill(counts)` and `point(value)`. */
export function legend(run) {
  const element = h("section", { className: "legend", "aria-label": t("legend.title") });
  let scale = null;
  let layer = null;
  let reading = null;

  /** `second` is the look right of the divider, or null; `plotLayer` the scale of the plots, or null. */
  function show(state, chosen, second, plotLayer) {
    layer = chosen;
    scale = layer.kind === "rgb" || layer.kind === "classes" ? null : bar(layer);
    reading = h("output", { className: "reading" });
    const hatched = state.hatch && layer.hatch !== false && layer.kind !== "rgb";
    element.replaceChildren(
      h(
        "div",
        { className: "head" },
        h("div", {}, h("h2", {}, say(layer.title)), h("p", { className: "note" }, subtitle(run, layer, state.year))),
        reading,
      ),
      ...(scale ? [scale.svg] : []),
      ...(layer.kind === "classes" ? [classes(layer)] : []),
      ...(hatched ? [h("p", { className: "note key" }, hatchSample(), t("legend.hatch"))] : []),
      ...(run.masked && layer.kind !== "rgb" ? [h("p", { className: "note key" }, maskedSample(), t("legend.masked", { masks: run.masked }))] : []),
      ...(second ? [other(second)] : []),
      ...(plotLayer ? [plots(state, plotLayer)] : []),
    );
  }

  function other(second) {
    const parts = [t("legend.right", { title: say(second.layer.title) }), second.layer.years ? yearName(second.year) : "", say(second.layer.unit)];
    return h(
      "div",
      { className: "plots" },
      h("p", { className: "note" }, parts.filter(Boolean).join(" · ")),
      second.layer.kind === "classes" && classes(second.layer),
      second.layer.range && second.layer.kind !== "classes" && bar(second.layer, false).svg,
    );
  }

  function plots(state, plotLayer) {
    const title = h("p", { className: "note" }, t(`legend.${state.plots}`), ` · ${say(plotLayer.unit)}`);
    if (state.plots !== "residual") return h("div", { className: "plots" }, title);
    return h("div", { className: "plots" }, title, bar(plotLayer, false).svg);
  }

  function fill(counts) {
    if (!scale) return;
    const most = Math.max(...counts);
    scale.hill.replaceChildren();
    if (!(most > 0)) return;
    const width = WIDTH / BINS;
    const points = [...counts].map((count, k) => `L${((k + 0.5) * width).toFixed(1)} ${(HILL - (HILL - 2) * Math.sqrt(count / most)).toFixed(1)}`);
    scale.hill.append(s("path", { d: `M0 ${HILL}${points.join("")}L${WIDTH} ${HILL}z` }, s("title", {}, t("legend.inView"))));
  }

  function point(read) {
    if (!reading) return;
    const value = read?.value;
    const known = Number.isFinite(value);
    if (layer.kind === "classes") {
      reading.textContent = read?.masked ? t("legend.maskedHere") : "";
      return;
    }
    reading.classList.toggle("words", Boolean(read?.masked));
    if (read?.masked) reading.textContent = t("legend.maskedHere");
    else reading.textContent = known && scale ? number(value, decimals(layer.range[1] - layer.range[0] > 20 ? 20 : value)) : "";
    reading.classList.toggle("doubtful", known && !read.trusted && layer.hatch !== false);
    if (!scale) return;
    scale.needle.setAttribute("visibility", known ? "visible" : "hidden");
    if (known) {
      const x = Math.max(0, Math.min(WIDTH, scale.at(value)));
      scale.needle.setAttribute("transform", `translate(${x.toFixed(1)} 0)`);
    }
  }

  return { element, show, fill, point };
}
