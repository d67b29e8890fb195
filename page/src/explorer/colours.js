// Colours of heat-maps, which follow the theme: paper to accent for shares, red to blue for signs.
import { rgb, scaleOf } from "../map/scales.js";
import { colour } from "../shared/theme.js";

const clamp = (share) => Math.max(0, Math.min(1, share));

/** From 0 to 1: the page's paper to its accent colour. */
export function accent() {
  const [low, high] = [rgb(colour("paper")), rgb(colour("accent"))];
  return (share) => low.map((value, i) => Math.round(value + (high[i] - value) * clamp(share) ** 0.7));
}

/** A scale of the server from 0 to 1. */
export function named(name) {
  const scale = scaleOf(name).map(rgb);
  return (share) => scale[Math.min(255, Math.floor(clamp(share) * 256))];
}

/** Red below 0 and blue above; the ends are plus and minus `most`. */
export function signs(most) {
  const paint = named("RdBu");
  return (value) => paint(0.5 + value / (2 * most || 1));
}

/** The colour of land about which nothing is shown. */
export const plain = () => rgb(colour("masked"));

export const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;

/** Ink that can be read on a colour. */
export const inkOn = ([r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#15191b" : "#ffffff");
