// Answers without a server: the numbers in the tiles of a static export, and the plots.
import { t } from "../shared/language.js";
import { kilometres } from "./mercator.js";
import { valueAt } from "./tiles.js";

const NEAREST = 5;

const byRole = (run, role) => run.layers.find((layer) => layer.id === role);

/** Layer of the values themselves. */
export const valueLayer = (run) => byRole(run, "mean") ?? run.layers.find((layer) => layer.group === "richness" && !layer.hidden);

/** The plots nearest to a place, as api/at.json lists them. */
export function nearest(plots, lon, lat) {
  return plots
    .map((plot) => ({ ...plot, km: kilometres(lon, lat, plot.lon, plot.lat) }))
    .sort((one, other) => one.km - other.km)
    .slice(0, NEAREST);
}

/** The answer of api/at.json, read from tiles of the finest zoom. */
export async function answerFromTiles(run, plots, lon, lat, year) {
  const read = async (layer, when) => (layer ? await valueAt(layer, when, lon, lat, Math.min(run.maxzoom, layer.maxzoom ?? run.maxzoom)) : null);
  const layer = valueLayer(run);
  const [lower, upper] = [byRole(run, "lower"), byRole(run, "upper")];
  const all = async (when) => {
    const [value, low, high] = await Promise.all([read(layer, when), read(lower, when), read(upper, when)]);
    return { year: when, value: value?.value, lower: low?.value ?? null, upper: high?.value ?? null, trusted: value?.trusted, masked: value?.masked };
  };
  const here = await all(year);
  const answer = { lon, lat, inside: here.value !== undefined, ...here, why: "", series: [], trend: null, alike: [] };
  answer.nearest = nearest(plots, lon, lat);
  if (here.masked) answer.why = t("answer.masked", { masks: run.masked });
  if (!answer.inside) return answer;
  answer.applies = byRole(run, "applies") || layer.hatch ? here.trusted : null;
  if (layer.years?.length > 1) {
    answer.series = (await Promise.all(layer.years.map(all))).filter((one) => one.value !== undefined);
  }
  return answer;
}

/** Sentence shown instead of means of areas. */
export const noZones = () => t("zone.static");
