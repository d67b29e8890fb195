// Means of areas: draw one or two, or open a file; the server answers with correlated errors.
import L from "leaflet";
import { ask } from "../shared/data.js";
import { download, h, iconButton } from "../shared/dom.js";
import { decimals, number, percent, say, t } from "../shared/language.js";
import { polygonTool, polygonsOf, toGeojson, turned } from "./polygon.js";

const MOST = 2;

/** "mean 32.7 species, likely 30.6 to 34.8", with the decimals that the interval deserves. */
function estimate({ mean, lower, upper }, unit, key = "zone.mean") {
  const known = Number.isFinite(lower) && Number.isFinite(upper);
  const places = decimals(known ? upper - lower : mean);
  return [
    h("strong", {}, t(key, { mean: number(mean, places), unit })),
    known && `, ${t("answer.likely", { lower: number(lower, places), upper: number(upper, places) })}`,
  ];
}

function facts(zone, unit) {
  const applies = Number.isFinite(zone.share_applies) ? t("zone.applies", { share: percent(zone.share_applies) }) : "";
  const size = t("zone.size", { area: number(zone.area_km2, decimals(zone.area_km2)), pixels: number(zone.pixels) });
  return [h("p", {}, estimate(zone, unit)), h("p", { className: "note" }, [size, applies].filter(Boolean).join("; "))];
}

function results(answer, run) {
  const unit = say(run.target.unit);
  const names = answer.zones.length > 1 ? [t("zone.a"), t("zone.b")] : [t("zone.one")];
  const parts = answer.zones.map((zone, k) =>
    h(
      "div",
      { className: `zone z${k}` },
      h("h3", {}, names[k]),
      Number.isFinite(zone.mean) ? facts(zone, unit) : h("p", {}, t("zone.empty")),
    ),
  );
  if (Number.isFinite(answer.difference?.mean)) {
    const { lower, upper } = answer.difference;
    parts.push(
      h("div", { className: "zone" }, h("h3", {}, t("zone.difference")), h("p", {}, estimate(answer.difference, unit, "zone.by")), h("p", { className: "note" }, t(lower <= 0 && upper >= 0 ? "zone.same" : "zone.differ"))),
    );
  }
  if (answer.note) parts.push(h("p", { className: "note" }, say(answer.note)));
  return parts;
}

/** Card and tool; `host` is {map, pane, run, store, announce(text), close()}. */
export function zones({ map, pane, run, store, announce, close }) {
  const shapes = L.layerGroup().addTo(map);
  let polygons = [];
  let turn = 0; // the newest question wins, whichever answer comes last
  const body = h("div", { className: "results" });
  const tool = polygonTool(map, pane, {
    corner: (count) => announce(t("zone.corner", { count })),
    few: () => say_(t("zone.few")),
    left: () => say_(t("zone.left")),
    closed: (corners) => add([toGeojson(corners)]),
  });
  const draw = h("button", { type: "button", className: "primary", onclick: start });
  const file = h("input", { type: "file", accept: ".geojson,.json,application/geo+json", className: "hidden-text", tabindex: -1, "aria-label": t("zone.upload"), onchange: open });
  const upload = h("button", { type: "button", onclick: () => file.click() }, t("zone.upload"));
  const clear = h("button", { type: "button", onclick: reset }, t("zone.clear"));
  const csv = h("button", { type: "button", onclick: save }, t("zone.csv"));
  const element = h(
    "section",
    { className: "zones card", "aria-label": t("zone.title"), hidden: true },
    h("header", {}, h("h2", {}, t("zone.title")), iconButton("close", t("tool.close"), close)),
    run.static
      ? h("p", { className: "notice" }, t("zone.static"))
      : [h("p", { className: "note" }, t("zone.help")), h("div", { className: "buttons" }, draw, upload, clear, csv, file), body],
  );

  function say_(text) {
    announce(text);
    body.replaceChildren(h("p", { className: "notice" }, text));
  }

  function face() {
    draw.textContent = t(polygons.length === 1 ? "zone.drawSecond" : "zone.draw");
    clear.disabled = csv.disabled = polygons.length === 0;
  }

  function start() {
    if (polygons.length >= MOST) reset();
    tool.start();
    map.getContainer().focus({ preventScroll: true });
  }

  function reset() {
    turn += 1;
    polygons = [];
    store.set({ areas: [] });
    shapes.clearLayers();
    body.replaceChildren();
    face();
  }

  function add(found) {
    if (!found.length) return;
    if (polygons.length + found.length > MOST) reset();
    polygons.push(...found);
    paint();
    compute();
  }

  function paint() {
    store.set({ areas: polygons.slice() });
    shapes.clearLayers();
    polygons.forEach((one, k) => {
      const shape = L.geoJSON(one, { pane, interactive: false, style: { className: `area a${k}` } }).addTo(shapes);
      if (polygons.length > 1) {
        const icon = L.divIcon({ className: `area-name a${k}`, html: "AB"[k], iconSize: [22, 22] });
        L.marker(shape.getBounds().getCenter(), { icon, pane, interactive: false, keyboard: false }).addTo(shapes);
      }
    });
    face();
  }

  const question = () => ({ geometries: polygons, year: store.state.year });

  async function compute() {
    const mine = ++turn;
    body.replaceChildren(h("p", { className: "note asking" }, t("zone.asking")));
    try {
      const answer = await (await ask("api/zonal.json", question())).json();
      if (mine !== turn) return;
      body.replaceChildren(...results(answer, run));
      announce(body.textContent);
    } catch (error) {
      if (mine !== turn) return;
      polygons.pop();
      paint();
      say_(error.message);
    }
  }

  async function save() {
    try {
      download(await (await ask("api/zonal.csv", question())).blob(), `${run.name}_zonal.csv`);
    } catch (error) {
      say_(error.message);
    }
  }

  async function open() {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    let found = [];
    try {
      found = polygonsOf(JSON.parse(await chosen.text())).map((one) => turned(one, run.bounds));
    } catch {
      // not JSON: no polygon in it
    }
    if (!found.length) return void say_(t("zone.badFile", { file: chosen.name }));
    if (found.length > MOST) announce(t("zone.many", { file: chosen.name, count: found.length }));
    try {
      map.fitBounds(L.geoJSON(found.slice(0, MOST)).getBounds().pad(0.3));
      add(found.slice(0, MOST));
    } catch {
      say_(t("zone.badFile", { file: chosen.name }));
    }
  }

  face();
  return {
    element,
    tool,
    add,
    shapes: () => polygons,
    recompute: () => polygons.length && compute(),
    stop: () => (turn += 1),
    show(visible) {
      element.hidden = !visible;
      if (!visible) {
        tool.leave();
        reset();
      }
    },
  };
}
