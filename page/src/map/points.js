// Plots on the map, coloured by what was observed, predicted, or by the difference of the two.
import { colour } from "../shared/theme.js";
import { colourOf } from "./scales.js";
import { onTurn, toX, toY } from "./mercator.js";

/** Positions on a map of a GeoJSON of plots: [{lon, lat, x, y, id, observed, predicted, residual, area, year}]. */
export const fromGeojson = ({ features }, bounds) =>
  features.map(({ properties, geometry }) => {
    const lat = geometry.coordinates[1];
    const lon = onTurn(geometry.coordinates[0], bounds);
    return { ...properties, lon, lat, x: toX(lon), y: toY(lat) };
  });

/** A scale for residuals as if they were a layer: symmetric, 95 % of the plots inside. */
export function residualLayer(plots, unit) {
  const sizes = plots.map((one) => Math.abs(one.residual)).filter(Number.isFinite).sort((a, b) => a - b);
  const limit = sizes[Math.floor(0.95 * (sizes.length - 1))] || 1;
  return { id: "residual", kind: "diverging", colours: "RdBu", range: [-limit, limit], unit };
}

export const radius = (zoom) => Math.max(2.6, Math.min(7, 1.3 + 0.55 * zoom));

/** Draw plots as discs with a halo; those without the number are left out. */
export function drawPlots(context, view, plots, field, layer) {
  const r = radius(view.zoom);
  context.lineWidth = 1.1;
  context.strokeStyle = colour("halo");
  for (const plot of plots) {
    const value = plot[field];
    if (!Number.isFinite(value)) continue;
    const [x, y] = [plot.x * view.scale - view.x0, plot.y * view.scale - view.y0];
    if (x < -r || y < -r || x > view.width + r || y > view.height + r) continue;
    context.beginPath();
    context.arc(x, y, r, 0, 2 * Math.PI);
    context.fillStyle = colourOf(layer, value);
    context.fill();
    context.stroke();
  }
}

/** The plot whose disc is under a position of the world, or null. */
export function plotAt(plots, x, y, zoom) {
  const reach = (radius(zoom) + 3) / (256 * 2 ** zoom);
  let [best, least] = [null, reach ** 2];
  for (const plot of plots) {
    const distance = (plot.x - x) ** 2 + (plot.y - y) ** 2;
    if (distance <= least) [best, least] = [plot, distance];
  }
  return best;
}
