// What lies around the map: land, coastline, borders, graticule and names of places.
import { number } from "../shared/language.js";
import { colour } from "../shared/theme.js";
import { toLat, toLon, toX, toY } from "./mercator.js";

let land = [];
let coast = [];
let borders = [];
let places = [];

const flatten = (ring) => Float64Array.from(ring.flatMap(([lon, lat]) => [toX(lon), toY(lat)]));

const rings = ({ type, coordinates }) =>
  ({ Polygon: () => coordinates, MultiPolygon: () => coordinates.flat(), LineString: () => [coordinates], MultiLineString: () => coordinates })[
    type
  ]?.() ?? [];

/** Take api/ground.json; positions are kept in Web Mercator. */
export function setGround({ features }) {
  const of = (kind) => features.filter((one) => one.properties.kind === kind);
  const lines = (kind) => of(kind).flatMap((one) => rings(one.geometry).map(flatten));
  [land, coast, borders] = [lines("land"), lines("coast"), lines("border")];
  if (!coast.length) coast = land;
  places = of("place").map(({ properties, geometry }) => {
    const [lon, lat] = geometry.coordinates;
    return { name: properties.name, x: toX(lon), y: toY(lat) };
  });
}

function trace(context, view, lines) {
  context.beginPath();
  for (const line of lines) {
    let [lastX, lastY] = [NaN, NaN];
    for (let i = 0; i < line.length; i += 2) {
      const x = line[i] * view.scale - view.x0;
      const y = line[i + 1] * view.scale - view.y0;
      if (i === 0) context.moveTo(x, y);
      else if (Math.abs(x - lastX) + Math.abs(y - lastY) < 0.7 && i < line.length - 2) continue;
      else context.lineTo(x, y);
      [lastX, lastY] = [x, y];
    }
  }
}

/** Land as a pale area, to lie under the map. */
export function drawLand(context, view) {
  context.fillStyle = colour("land");
  trace(context, view, land);
  context.fill("evenodd");
}

function stroke(context, view, lines, style, width, dash = []) {
  if (!lines.length) return;
  context.setLineDash(dash);
  context.lineJoin = "round";
  context.lineWidth = width;
  context.strokeStyle = style;
  trace(context, view, lines);
  context.stroke();
  context.setLineDash([]);
}

/** Coastline and borders. */
export function drawLines(context, view) {
  stroke(context, view, borders, colour("border"), 1, [5, 3]);
  stroke(context, view, coast, colour("coast"), 0.9);
}

const STEPS = [45, 30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];

/** Meridians and parallels, labelled at the edges. */
export function drawGraticule(context, view, inset = { left: 0, bottom: 0 }) {
  const step = STEPS.find((one) => (one / 360) * view.scale <= 190) ?? STEPS.at(-1);
  const places = step < 1 ? String(step).length - 2 : 0;
  const west = toLon(view.x0 / view.scale);
  const east = toLon((view.x0 + view.width) / view.scale);
  const north = toLat(view.y0 / view.scale);
  const south = toLat((view.y0 + view.height) / view.scale);
  const lines = [];
  context.strokeStyle = colour("coast");
  context.globalAlpha = 0.38;
  context.lineWidth = 0.7;
  context.beginPath();
  for (let k = Math.ceil(west / step); k * step <= east; k++) {
    const x = toX(k * step) * view.scale - view.x0;
    context.moveTo(x, 0);
    context.lineTo(x, view.height);
    lines.push([`${number(Math.abs((((k * step + 540) % 360) - 180)), places)}°`, x, view.height - inset.bottom - 8, "center"]);
  }
  for (let k = Math.ceil(south / step); k * step <= north; k++) {
    const y = toY(k * step) * view.scale - view.y0;
    context.moveTo(0, y);
    context.lineTo(view.width, y);
    if (y < view.height - inset.bottom - 24) lines.push([`${number(Math.abs(k * step), places)}°`, inset.left + 6, y - 4, "left"]);
  }
  context.stroke();
  context.globalAlpha = 1;
  context.font = `500 11px ${colour("font")}`;
  for (const [text, x, y, align] of lines) label(context, text, x, y, align, colour("muted"));
}

function label(context, text, x, y, align, ink) {
  context.textAlign = align;
  context.lineJoin = "round";
  context.lineWidth = 3;
  context.strokeStyle = `${colour("halo")}d9`;
  context.strokeText(text, x, y);
  context.fillStyle = ink;
  context.fillText(text, x, y);
}

/** Names of places; a name that would touch another is left out, the more important one stays. */
export function drawNames(context, view) {
  const taken = [];
  const most = Math.max(8, Math.round((view.width * view.height) / 30000));
  let count = 0;
  context.font = `600 12.5px ${colour("font")}`;
  for (const { name, x, y } of places) {
    if (count >= most) break;
    const [px, py] = [x * view.scale - view.x0, y * view.scale - view.y0];
    if (px < 0 || py < 0 || px > view.width || py > view.height) continue;
    const width = context.measureText(name).width;
    const box = [px - 6, py - 12, px + width + 12, py + 12];
    if (taken.some((one) => box[0] < one[2] && box[2] > one[0] && box[1] < one[3] && box[3] > one[1])) continue;
    taken.push(box);
    count += 1;
    context.beginPath();
    context.arc(px, py, 2.6, 0, 2 * Math.PI);
    context.fillStyle = colour("ink");
    context.strokeStyle = colour("halo");
    context.lineWidth = 1.5;
    context.fill();
    context.stroke();
    label(context, name, px + 7, py + 4, "left", colour("ink"));
  }
}
