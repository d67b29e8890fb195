// The map itself: sheets from the land at the bottom to the names on top, and what the state makes of them.
import L from "leaflet";
import { colour } from "../shared/theme.js";
import { drawGraticule, drawLand, drawLines, drawNames } from "./ground.js";
import { drawPlots, plotAt } from "./points.js";
import { LIMIT, toX, toY } from "./mercator.js";
import { RasterSheet, decoded, tileZoom } from "./raster.js";
import { Sheet, viewOf } from "./sheet.js";
import { valueNow } from "./tiles.js";
import { clip, divider, unclip } from "./swipe.js";
import { keyOf } from "./years.js";

const PANES = { land: 150, left: 210, right: 220, lines: 350, plots: 410, areas: 420, names: 440, marks: 450, sites: 460 };
const ENLARGED = 4; // zoom levels beyond the finest tiles

/** Stage in a container; `host` is {run, store, plots, plotLayer(), insets()}. */
export function stage(container, { run, store, plots, plotLayer, insets, disk }) {
  const { state } = store;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const layerOf = (id) => run.layers.find((one) => one.id === id);
  const map = L.map(container, {
    zoomControl: false,
    attributionControl: false,
    keyboard: false, // keyboard.js has its own
    zoomSnap: 0.25,
    inertia: !still,
    zoomAnimation: !still,
    zoomDelta: 1,
    wheelPxPerZoomLevel: 90,
    maxZoom: run.maxzoom + ENLARGED,
  });
  const [west, south, east, north] = run.bounds;
  const bounds = L.latLngBounds([south, west], [north, east]);
  const pane = {};
  for (const [name, order] of Object.entries(PANES)) {
    pane[name] = map.createPane(name);
    pane[name].style.zIndex = order;
  }
  for (const name of ["land", "left", "right", "lines", "plots", "names"]) pane[name].style.pointerEvents = "none";

  const look = (id, year) => ({
    layer: layerOf(id),
    year: layerOf(id).years ? year : null,
    hatch: state.hatch,
    maskedColour: colour("masked"),
  });

  function home(animate = false) {
    const { left, top, right, bottom, card } = insets();
    const covered = state.point ? right + card : right;
    map.fitBounds(bounds, { paddingTopLeft: [left, top], paddingBottomRight: [covered, bottom], animate });
  }

  if (state.view) map.setView([state.view.lat, state.view.lon], state.view.zoom, { animate: false });
  else home();
  const around = Math.max(east - west, north - south, 1); // what api/ground.json covers
  map.setMaxBounds([[Math.max(-LIMIT, south - around), west - around], [Math.min(LIMIT, north + around), east + around]]);
  map.setMinZoom(Math.min(map.getZoom(), Math.max(0, Math.floor(map.getBoundsZoom(bounds)) - 2)));

  const sheets = {
    land: new Sheet(drawLand, { pane: "land" }),
    lines: new Sheet((context, view) => {
      drawLines(context, view);
      if (state.graticule) drawGraticule(context, onScreen(context, view), insets());
    }, { pane: "lines" }),
    plots: new Sheet((context, view) => {
      if (state.plots !== "none") drawPlots(context, view, plots(), state.plots, plotLayer());
    }, { pane: "plots" }),
    names: new Sheet((context, view) => state.names && drawNames(context, onScreen(context, view)), { pane: "names" }),
  };

  /** The visible part of a sheet, for what stands at the edges or must not be cut. */
  function onScreen(context, view) {
    const visible = viewOf(map);
    context.translate(visible.x0 - view.x0, visible.y0 - view.y0);
    return visible;
  }

  const painted = new Set();
  const onPainted = () => painted.forEach((listener) => listener());
  let left = null;
  let right = null;
  let pictures = [];
  if (disk) showPictures();
  else left = new RasterSheet(run, look(state.layer, state.year), onPainted, { pane: "left" }).addTo(map);
  for (const sheet of Object.values(sheets)) sheet.addTo(map);

  /** From disk, canvases may not read pictures, so the export's coloured overviews are shown. */
  function showPictures() {
    pictures.forEach((one) => one.remove());
    const layer = layerOf(state.layer);
    const name = `${layer.id}_${keyOf(layer.years ? state.year : null)}`;
    pictures = [L.imageOverlay(`overview/${name}.png`, bounds, { pane: "left", className: "overview" }).addTo(map)];
  }

  const bar = divider(container, (share) => store.set({ divide: share }));
  container.append(bar.element);

  function compare() {
    bar.element.hidden = !state.second;
    if (!state.second) {
      right?.remove();
      right = null;
      unclip(pane.left);
      unclip(pane.right);
      return;
    }
    const wanted = look(state.second.layer, state.second.year);
    if (right) right.show(wanted);
    else right = new RasterSheet(run, wanted, onPainted, { pane: "right" }).addTo(map);
    reclip();
  }

  function reclip() {
    if (!state.second || disk) return;
    clip(map, pane.left, pane.right, state.divide);
    bar.place(state.divide);
  }

  map.on("move zoom viewreset zoomend resize", reclip);
  map.on("moveend", () => {
    const { lat, lng } = map.getCenter();
    store.set({ view: { zoom: map.getZoom(), lat, lon: lng } });
  });

  const cross = L.marker([0, 0], {
    icon: L.divIcon({ className: "asked", iconSize: [18, 18] }),
    pane: "marks",
    interactive: false,
    keyboard: false,
  });
  const pointed = L.layerGroup().addTo(map);

  function mark() {
    if (!state.point) return void cross.remove();
    cross.setLatLng([state.point[1], state.point[0]]).addTo(map);
  }

  function opacity() {
    for (const name of ["left", "right"]) pane[name].style.opacity = state.opacity;
  }

  function update(changed) {
    if (["layer", "year", "hatch", "theme"].some((name) => changed.has(name))) {
      if (disk) showPictures();
      else left.show(look(state.layer, state.year));
    }
    if (!disk && ["second", "hatch", "theme"].some((name) => changed.has(name))) compare();
    if (changed.has("divide")) reclip();
    if (changed.has("opacity")) opacity();
    if (changed.has("point")) mark();
    if (changed.has("plots") || changed.has("theme")) sheets.plots.redraw();
    if (changed.has("names") || changed.has("theme")) sheets.names.redraw();
    if (["graticule", "theme", "language"].some((name) => changed.has(name))) sheets.lines.redraw();
    if (changed.has("theme")) sheets.land.redraw();
  }

  opacity();
  mark();
  if (!disk) compare();

  /** The sheet under a place of the map: that right of the divider, or the usual one. */
  function sheetAt(latlng) {
    const { x } = map.latLngToContainerPoint(latlng);
    return right && x > state.divide * map.getSize().x ? right : left;
  }

  /** Value on the screen at a place, if its tile is decoded: {value, trusted, look}; none of a look that is going. */
  function read(latlng) {
    if (disk) return null;
    const { look: shown, wanted } = sheetAt(latlng);
    if (shown !== wanted) return null;
    if (shown.layer.kind === "rgb") return null;
    const z = tileZoom(run, { zoom: map.getZoom() }, shown.layer);
    const found = valueNow(shown.layer, shown.year, latlng.lng, latlng.lat, z);
    return found ? { ...found, look: shown } : null;
  }

  /** Show places of plots: rings on them, and lines from the place that was asked about. */
  function point(plot) {
    pointed.clearLayers();
    if (!plot) return;
    L.circleMarker([plot.lat, plot.lon], { pane: "marks", radius: 8, className: "pointed", interactive: false }).addTo(pointed);
    if (state.point) {
      const from = [state.point[1], state.point[0]];
      L.polyline([from, [plot.lat, plot.lon]], { pane: "marks", className: "pointed-line", interactive: false }).addTo(pointed);
    }
  }

  const plotUnder = ({ lat, lng }) =>
    state.plots === "none" ? null : plotAt(plots(), toX(lng), toY(lat), map.getZoom());

  return {
    map,
    home,
    update,
    read,
    point,
    plotUnder,
    looks: () => [left?.wanted, right?.wanted],
    tiles: () => (disk || left.look !== left.wanted ? [] : decoded(run, viewOf(map), left.look)),
    ready: () => left?.complete ?? Promise.resolve(),
    painted: (listener) => painted.add(listener),
    redraw: () => Object.values(sheets).forEach((sheet) => sheet.redraw()),
  };
}
