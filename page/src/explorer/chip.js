// The chip of a plot or a place: its picture, attention by layer and head, occlusion.
import { read } from "../shared/data.js";
import { h } from "../shared/dom.js";
import { amount, number, percent, place, say, signed, t } from "../shared/language.js";
import { accent, named, plain, signs } from "./colours.js";
import { failure, ofNetwork, readout, section } from "./frame.js";
import { legend, map } from "./geo.js";
import { headChooser } from "./heads.js";
import { heat } from "./heat.js";
import { overlay } from "./overlay.js";
import { extent, slice, unpack } from "./unpack.js";

/** The section, and the function that shows the chip of a plot. */
export function chipSection(facts, cells, state) {
  const body = h("div", { className: "chip-body" });
  const view = map(cells, { label: t("chip.map"), choose: (_, [lon, lat]) => at(lon, lat) });
  const rowOf = new Map(facts.examples.map((row, i) => [row, i]));
  let turn = 0; // the newest question wins, whichever answer comes last

  async function show(promise) {
    const mine = ++turn;
    try {
      const answer = await promise;
      if (mine !== turn) return;
      view.mark(answer.lon, answer.lat);
      body.replaceChildren(...look(answer, facts, state));
    } catch (error) {
      if (mine === turn) body.replaceChildren(failure(error));
    }
  }

  function plot(row) {
    state.plot = row;
    press(rowOf.get(row));
    return show(read(`api/explorer/plot/${row}.json${ofNetwork(state)}`));
  }

  function at(lon, lat) {
    press(undefined);
    if (facts.static) return nearestExample(lon, lat);
    return show(read(`api/explorer/at.json?lon=${lon.toFixed(5)}&lat=${lat.toFixed(5)}${ofNetwork(state, "&")}`));
  }

  /** Without a server, only the examples have chips. */
  async function nearestExample(lon, lat) {
    const mine = ++turn;
    const chips = await Promise.all(facts.examples.map((row) => read(`api/explorer/plot/${row}.json`)));
    if (mine !== turn) return;
    const far = (one) => (one.lat - lat) ** 2 + ((one.lon - lon) * Math.cos((lat * Math.PI) / 180)) ** 2;
    plot(chips.reduce((best, one) => (far(one) < far(best) ? one : best)).row);
  }

  const examples = facts.examples.map((row, i) =>
    h("button", { type: "button", "aria-pressed": "false", onclick: () => plot(row) }, String(i + 1)),
  );
  const press = (chosen) => examples.forEach((button, i) => button.setAttribute("aria-pressed", String(i === chosen)));
  const key = background(view, cells, facts);
  plot(state.plot ?? facts.examples[Math.floor(facts.examples.length / 2)]);
  const lead = facts.patch === 1 ? t("chip.onePixel") : t("chip.lead", { side: facts.patch });
  const element = section(
    "chip",
    t("chip.title"),
    lead,
    h(
      "div",
      { className: "chip-row" },
      h(
        "div",
        { className: "chip-map" },
        facts.imagery && h("p", { className: "note" }, t(facts.static ? "chip.pickStatic" : "chip.pick")),
        view.element,
        key,
        h("p", { className: "note" }, t("chip.examples", { count: facts.examples.length })),
        h("div", { className: "examples", role: "group", "aria-label": t("chip.examples", { count: facts.examples.length }) }, examples),
      ),
      body,
    ),
  );
  return { element, plot };
}

/** Paint the map of places by predicted richness, or plainly where the run has no map; returns its legend or null. */
function background(view, cells, facts) {
  if (!facts.places.values) {
    view.show(new Float32Array(cells.cells.length), () => plain());
    return null;
  }
  const richness = unpack(facts.places.values).data;
  const [low, high] = extent(richness);
  const scale = named("viridis");
  view.show(richness, (value) => scale((value - low) / (high - low || 1)));
  return legend(scale, 0, 1, [amount(low, high), say(facts.unit), amount(high)]);
}

function look(answer, facts, state) {
  const unit = say(facts.unit);
  const line = readout(t(answer.attention && answer.side > 1 ? "chip.hover" : "chip.point"));
  const side = answer.side;
  const pixel = (i) => t("chip.pixel", { row: Math.floor(i / side) + 1, col: (i % side) + 1 });
  const places = { picture: answer.picture, grid: [side, side] };
  const effect = unpack(answer.occlusion).data;
  const most = Math.max(...extent(effect).map(Math.abs));
  const hide = overlay({
    ...places,
    label: t("chip.occlusion"),
    point: (i, value) => line.say(t("chip.hidden", { pixel: pixel(i), change: signed(value, 2), unit })),
  });
  hide.fill(effect, signs(most));
  const attention = answer.attention;
  const name = answer.id ? t("chip.plot", { id: answer.id }) : t("chip.place");
  const figures = Number.isFinite(answer.observed)
    ? t(Number.isFinite(answer.predicted) ? "chip.figures" : "chip.observed", { observed: amount(answer.observed), predicted: amount(answer.predicted), unit })
    : "";
  const hidden = h("figure", {}, h("figcaption", {}, t("chip.occlusion")), hide.element, h("p", { className: "note" }, t("chip.occlusionHow", { most: amount(most), unit })));
  const picture = h("div", { className: "overlay" }, h("img", { src: answer.picture, alt: t(answer.colours ? "chip.colours" : "chip.grey") }));
  picture.style.aspectRatio = "1";
  const plain = h("figure", {}, h("figcaption", {}, t(answer.colours ? "chip.colours" : "chip.grey")), picture);
  const head = [h("h3", {}, name), h("p", { className: "note" }, `${place(answer.lon, answer.lat)}${figures ? ` · ${figures}` : ""}`)];
  if (side === 1 && attention?.weights) {
    return [...head, h("div", { className: "pictures" }, plain, hidden), line.element, ...betweenInputs(attention, state)];
  }
  if (!attention?.weights) {
    const why = side === 1 ? "" : t(attention ? "chip.manyWeights" : "chip.noAttention");
    return [...head, why && h("p", { className: "lead" }, why), h("div", { className: "pictures" }, plain, hidden), line.element].filter(Boolean);
  }
  return [...head, ...attended(attention, { places, line, pixel, side, plain, hidden, state, networks: facts.networks, shown: state.network ?? facts.network })];
}

/** Attention between the inputs of a single pixel: its bands and covariates. */
function betweenInputs(attention, state) {
  const weights = unpack(attention.weights);
  const [layers, heads, count] = weights.shape;
  const first = attention.kinds.indexOf("other");
  const names = attention.kinds.map((kind, i) => (kind === "other" ? attention.names[i - first] : t(kind === "class" ? "chip.class" : "chip.pixelToken")));
  const [table, line] = [h("div", { className: "tables" }), readout(t("text.hover"))];

  function choose(layer, head) {
    state.head = [layer, head];
    const one = heat({
      rows: count,
      cols: count,
      names,
      values: slice(weights, layer, head),
      paint: accent(),
      label: t("heads.one", { layer: layer + 1, head: head + 1 }),
      width: 420,
      write: (value) => number(value, 2),
      point: (row, col, value) => line.say(t("chip.between", { query: names[row], key: names[col], weight: number(value, 3) })),
    });
    table.replaceChildren(h("figure", {}, h("figcaption", {}, t("text.weights")), one.element));
  }

  const chooser = headChooser({
    layers: attention.layers.map(String),
    heads,
    picture: (layer, head) => ({ rows: count, cols: count, values: slice(weights, layer, head) }),
    paint: accent(),
    choose,
  });
  const [layer, head] = state.head ?? [0, 0];
  chooser.select(Math.min(layer, layers - 1), Math.min(head, heads - 1), false);
  return [h("h3", {}, t("chip.inputs")), h("div", { className: "instrument stacked" }, chooser.element, h("div", {}, table, line.element))];
}

/** Attention by layer and head, and its rollout. */
function attended(attention, { places, line, pixel, side, plain, hidden, state, networks, shown }) {
  const weights = unpack(attention.weights);
  const shares = unpack(attention.shares).data;
  const paint = named("viridis");
  const pixels = attention.kinds.flatMap((kind, i) => (kind === "pixel" ? [i] : []));
  const others = attention.kinds.flatMap((kind, i) => (kind === "pixel" ? [] : [i]));
  const firstOther = attention.kinds.indexOf("other");
  const nameOf = (i) => (attention.kinds[i] === "class" ? t("chip.class") : attention.names[i - firstOther]);
  const start = attention.kinds[0] === "class" ? 0 : pixels[Math.floor(pixels.length / 2)];
  let query = start;
  const row = (layer, head) => slice(weights, layer, head, query);
  const seen = (values) => Float64Array.from(pixels, (i) => values[i]);
  const who = h("p", { className: "note" });
  const rest = h("p", { className: "note" });

  const view = overlay({
    ...places,
    label: t("chip.attention"),
    point: (i, value) => line.say(Number.isFinite(value) ? t("chip.weight", { pixel: pixel(i), weight: number(value, 3) }) : t("chip.notComputed")),
    choose: (i) => ask(query === pixels[i] ? start : pixels[i]),
  });

  function draw() {
    const values = row(...chooser.current());
    const picture = seen(values);
    const most = extent(picture)[1];
    view.fill(picture, (value) => paint(value / (most || 1)), pixels.includes(query) ? pixels.indexOf(query) : null);
    const from = pixels.includes(query) ? pixel(pixels.indexOf(query)) : nameOf(query);
    who.textContent = Number.isFinite(values[pixels[0]]) ? t("chip.from", { from }) : t("chip.notComputed");
    rest.textContent = others.map((i) => `${nameOf(i)} ${number(values[i], 3)}`).join(", ");
  }

  function ask(token) {
    query = token;
    chooser.draw();
    draw();
  }

  const chooser = headChooser({
    layers: attention.layers.map(String),
    heads: attention.heads,
    picture: (layer, head) => ({ rows: side, cols: side, values: seen(row(layer, head)) }),
    paint,
    choose: (layer, head) => ((state.head = [layer, head]), draw()),
  });
  const at = state.head ?? [0, 0];
  chooser.select(Math.min(at[0], attention.layers.length - 1), Math.min(at[1], attention.heads - 1), false);
  const flow = overlay({
    ...places,
    label: t("chip.rollout"),
    point: (i, value) => line.say(t("chip.share", { pixel: pixel(i), share: percent(value) })),
  });
  const total = seen(shares);
  const most = extent(total)[1];
  flow.fill(total, (value) => paint(value / most));
  const outside = others.map((i) => `${nameOf(i)} ${percent(shares[i])}`).join(", ");
  return [
    networks.length > 1 && h("p", { className: "note" }, t("chip.network", { number: shown + 1, count: networks.length })),
    networks[shown].member && h("p", { className: "note" }, t("chip.member", { name: networks[shown].member })),
    h(
      "div",
      { className: "instrument stacked" },
      chooser.element,
      h(
        "div",
        {},
        h(
          "div",
          { className: "pictures four" },
          plain,
          h("figure", {}, h("figcaption", {}, t("chip.attention")), view.element, who, rest),
          h("figure", {}, h("figcaption", {}, t("chip.rollout")), flow.element, h("p", { className: "note" }, outside || t("chip.rolloutHow"))),
          hidden,
        ),
        line.element,
      ),
    ),
  ].filter(Boolean);
}
