// What the model knows of place: features on the map, likeness of places, correlation with distance.
import { read } from "../shared/data.js";
import { h } from "../shared/dom.js";
import { amount, number, place, say, t } from "../shared/language.js";
import { named, signs } from "./colours.js";
import { choice, later, ofNetwork, readout, section } from "./frame.js";
import { legend, map, thumbnail } from "./geo.js";
import { lines } from "./lines.js";
import { correlations, cosines, extent, slice, unpack } from "./unpack.js";

const cache = new Map();

function features(name, state) {
  const path = `api/explorer/location/${name}.json${ofNetwork(state)}`;
  if (!cache.has(path)) {
    cache.set(path, read(path).then(({ names, values, terms }) => ({ names, terms, values: unpack(values) })));
  }
  return cache.get(path);
}

/** Features whose constant part would make all places alike are centred first. */
const isCentred = (name) => !["encoder", "published"].includes(name);

export function placeSection(facts, cells, state) {
  const body = h("div", {});
  const held = state.network === null ? facts.sets : facts.networks[state.network].sets;
  const sets = held.map(({ name, count }) => [name, `${t(`set.${name}`)} (${count})`]);
  if (facts.effect) sets.unshift(["effect", t("set.effect")]);
  if (facts.process) sets.unshift(["process", t("set.process")]);
  const own = held.find((one) => one.name !== "published")?.name;
  if (!sets.some(([name]) => name === state.set)) state.set = null;
  state.set ??= own ?? (facts.process ? "process" : facts.effect ? "effect" : "published");

  function show(name) {
    state.set = name;
    const build = name === "effect" ? effectMap : featureMaps;
    body.replaceChildren(h("p", { className: "note" }, `${t(`set.${name}.how`)} ${t(name === "effect" ? "place.pick" : name === "process" ? "place.leadProcess" : "place.lead")}`), later(features(name, state), (group) => build(group, name)));
  }

  function effectMap({ values }) {
    const most = Math.max(...extent(values.data).map(Math.abs));
    const [paint, line] = [signs(most), readout(t("place.pick"))];
    const view = map(cells, {
      label: t("set.effect"),
      choose: (i) => line.say(t("place.effect", { place: place(...cells.lonlat(i)), value: amount(values.data[i], most), unit: say(facts.unit) })),
    });
    view.show(values.data, paint);
    return h("div", { className: "wide" }, view.element, legend(paint, -most, most, [amount(-most), "0", `+${amount(most)} ${say(facts.unit)}`]), line.element);
  }

  function featureMaps(group, name) {
    const { names, values } = group;
    const [heading, line] = [h("figcaption", {}), readout()];
    const key = h("div", {});
    let feature = null;
    const view = map(cells, { label: t("place.map"), choose: similar });

    const mostOf = (row) => Math.max(...extent(row).map(Math.abs));

    function similar(i, at) {
      feature = null;
      state.place = at;
      const likeness = group.terms ? correlations(values, i, group.terms) : cosines(values, i, isCentred(name));
      const [low] = extent(likeness);
      const least = Math.min(low, 0.99);
      const scale = named("viridis");
      const paint = (value) => scale((value - least) / (1 - least));
      heading.textContent = t("place.similar", { place: place(...cells.lonlat(i)) });
      view.show(likeness, paint);
      key.replaceChildren(legend(paint, least, 1, [number(least, 2), t(group.terms ? "place.correlation" : "place.cosine"), "1"]));
      const centred = isCentred(name) ? t("place.centred") : "";
      line.say(t(group.terms ? "place.correlated" : "place.similarHow", { least: number(low, 2), centred }));
      press();
    }

    function showFeature(f) {
      feature = f;
      const row = slice(values, f);
      const most = mostOf(row);
      heading.textContent = t("place.feature", { name: names[f] });
      view.show(row, signs(most));
      key.replaceChildren(legend(signs(most), -most, most, [amount(-most), "0", `+${amount(most)}`]));
      line.say(t("place.range", { low: number(extent(row)[0], 2), high: number(extent(row)[1], 2) }));
      press();
    }

    const buttons = names.map((one, f) => {
      const row = slice(values, f);
      return h(
        "button",
        { type: "button", className: "feature", "aria-pressed": "false", onclick: () => (feature === f ? similar(...again()) : showFeature(f)) },
        thumbnail(cells, row, signs(mostOf(row))),
        h("span", {}, one),
      );
    });
    const press = () => buttons.forEach((button, f) => button.setAttribute("aria-pressed", String(f === feature)));
    const again = () => {
      const [row, col] = cells.position(...(state.place ?? cells.lonlat(Math.floor(cells.cells.length / 2))));
      return [cells.nearest(row, col), state.place];
    };
    const first = again();
    view.mark(...cells.lonlat(first[0]));
    similar(...first);
    return h(
      "div",
      { className: names.length ? "places" : "places wide" },
      h("figure", { className: "large" }, heading, view.element, key, line.element),
      names.length > 0 && h("div", { className: "features", role: "group", "aria-label": t("place.features") }, buttons),
    );
  }

  show(state.set);
  const adds = facts.place.kind === "encoder" && !own; // the published network
  return section(
    "place",
    t("place.title"),
    t(adds ? "place.added" : `place.${facts.place.kind}`),
    facts.place.curves.length > 0 && kernel(facts.place),
    choice(t("place.set"), sets, state.set, show),
    body,
  );
}

/** Correlation of a process with distance. */
function kernel({ km, curves }) {
  const name = ({ field, direction }) => t(`field.${field === "local response" ? "local" : field}`) + (direction === "any" ? "" : `, ${t(`direction.${direction}`)}`);
  return lines({
    x: km,
    lines: curves.slice(0, 4).map((curve) => ({ name: name(curve), values: curve.values })),
    label: t("place.kernel"),
    across: t("place.km"),
    up: t("place.kernel"),
    range: [0, 1],
    width: 470,
  });
}
