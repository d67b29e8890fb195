// What the reader has chosen, and its form in the address (a permalink).
import { LANGUAGES, preferred } from "../shared/language.js";
import { keyOf, yearOf } from "./years.js";

/**
 * @typedef {object} State
 * @property {string} layer          id of the layer
 * @property {number|null} year    null: the run's own map
 * @property {{layer: string, year: number|null}|null} second   the layer right of the divider
 * @property {number} divide         position of the divider, 0 to 1
 * @property {number} opacity        0 to 1
 * @property {boolean} hatch         untrusted land is hatched
 * @property {string} plots          "none", "observed", "predicted" or "residual"
 * @property {boolean} names
 * @property {boolean} graticule
 * @property {boolean} sites
 * @property {[number, number]|null} point   lon, lat of the question
 * @property {object[]} areas       one or two drawn polygons, GeoJSON
 * @property {{zoom: number, lat: number, lon: number}|null} view
 * @property {string} language
 * @property {"light"|"dark"|null} theme
 */

const PLOTS = ["none", "observed", "predicted", "residual"];

/** @returns {State} */
export function initial(run) {
  const shown = run.layers.filter((layer) => !layer.hidden);
  return {
    layer: shown[0].id,
    year: run.years?.at(-1) ?? null,
    second: null,
    divide: 0.5,
    opacity: 1,
    hatch: true,
    plots: "none",
    names: true,
    graticule: false,
    sites: false,
    point: null,
    areas: [],
    view: null,
    language: preferred(),
    theme: null,
  };
}

/** Numbers of "1/2/3"; an empty part is none, not 0. */
const numbers = (text) => (text ?? "").split("/").map((part) => (part.trim() ? Number(part) : NaN));

const CORNERS = 60; // of a polygon in an address

/** Drawn polygons as corners LON/LAT;LON/LAT;..., two separated by _; empty where an address cannot hold them. */
function areasText(areas) {
  if (areas.some(({ type, coordinates }) => type !== "Polygon" || coordinates.length > 1 || coordinates[0].length > CORNERS)) return "";
  const corner = ([lon, lat]) => `${+lon.toFixed(4)}/${+lat.toFixed(4)}`;
  return areas.map(({ coordinates: [ring] }) => ring.slice(0, -1).map(corner).join(";")).join("_");
}

function areasOf(text) {
  const rings = (text ?? "").split("_").map((ring) => ring.split(";").map(numbers));
  const good = rings.filter((ring) => ring.length >= 3 && ring.every(([lon, lat]) => Math.abs(lon) <= 540 && Math.abs(lat) <= 90));
  return good.slice(0, 2).map((ring) => ({ type: "Polygon", coordinates: [[...ring, ring[0]]] }));
}

/** State of an address; what it lacks, or what this run does not have, stays as it is by default. */
export function parse(hash, run) {
  const state = initial(run);
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const layer = (id) => run.layers.find((one) => one.id === id && !one.hidden);
  const year = (key) => {
    const found = yearOf(key, run);
    return found === undefined ? state.year : found;
  };
  if (layer(given.get("layer"))) state.layer = given.get("layer");
  if (given.has("year")) state.year = year(given.get("year"));
  const [second, secondYear, divide] = (given.get("swipe") ?? "").split("/");
  if (layer(second)) {
    state.second = { layer: second, year: year(secondYear) };
    if (Number(divide) > 0 && Number(divide) < 100) state.divide = Number(divide) / 100;
  }
  const [opacity] = numbers(given.get("opacity"));
  if (opacity >= 0 && opacity <= 100) state.opacity = opacity / 100;
  if (given.get("hatch") === "no") state.hatch = false;
  if (given.get("names") === "no") state.names = false;
  if (given.get("graticule") === "yes") state.graticule = true;
  if (given.get("sites") === "yes" && run.sites) state.sites = true;
  if (PLOTS.includes(given.get("plots")) && run.plots) state.plots = given.get("plots");
  const [lon, lat] = numbers(given.get("point"));
  if (given.has("point") && Math.abs(lon) <= 540 && Math.abs(lat) <= 90) state.point = [lon, lat];
  state.areas = areasOf(given.get("areas"));
  const [zoom, viewLat, viewLon] = numbers(given.get("view"));
  if (zoom >= 0 && zoom <= 24 && Math.abs(viewLat) <= 90 && Math.abs(viewLon) <= 540) {
    state.view = { zoom, lat: viewLat, lon: viewLon };
  }
  if (Object.hasOwn(LANGUAGES, given.get("lang"))) state.language = given.get("lang");
  if (["light", "dark"].includes(given.get("theme"))) state.theme = given.get("theme");
  return state;
}

/** The address of a state, "#..."; language and theme are in it only when chosen, defaults are left out. */
export function format(state, run) {
  const usual = initial(run);
  const parts = [["layer", state.layer]];
  const add = (name, value, differs) => differs && parts.push([name, value]);
  add("year", keyOf(state.year), state.year !== null || usual.year !== null);
  if (state.view) {
    const { zoom, lat, lon } = state.view;
    parts.push(["view", `${+zoom.toFixed(2)}/${lat.toFixed(4)}/${lon.toFixed(4)}`]);
  }
  if (state.second) {
    parts.push(["swipe", `${state.second.layer}/${state.second.year ?? (run.years?.length ? keyOf(null) : "")}/${Math.round(100 * state.divide)}`]);
  }
  add("opacity", Math.round(100 * state.opacity), state.opacity !== 1);
  add("hatch", "no", !state.hatch);
  add("names", "no", !state.names);
  add("graticule", "yes", state.graticule);
  add("sites", "yes", state.sites);
  add("plots", state.plots, state.plots !== "none");
  add("point", state.point?.map((one) => one.toFixed(5)).join("/"), state.point !== null);
  add("areas", areasText(state.areas), areasText(state.areas) !== "");
  add("lang", state.language, state.language !== usual.language);
  add("theme", state.theme, state.theme !== null);
  return `#${parts.map(([name, value]) => `${name}=${value}`).join("&")}`;
}

/** A state whose changes are announced: `listener(state, names of the changed properties)`. */
export class Store {
  #listeners = [];

  constructor(state) {
    this.state = state;
  }

  listen(listener) {
    this.#listeners.push(listener);
  }

  set(changes) {
    const changed = Object.keys(changes).filter((name) => this.state[name] !== changes[name]);
    if (!changed.length) return;
    Object.assign(this.state, changes);
    const names = new Set(changed);
    for (const listener of this.#listeners) listener(this.state, names);
  }
}
