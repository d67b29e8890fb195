// From the number in a tile to its colour. Colours come from api/style.json and run.json alone.

let scales = {};

export const setScales = (style) => (scales = style.scales);

const HAS_VALUE = 1;
const TRUSTED = 2;
const MASKED = 4;
export const hasValue = (bits) => (bits & HAS_VALUE) !== 0;
export const trusted = (bits) => (bits & TRUSTED) !== 0;
export const masked = (bits) => (bits & MASKED) !== 0;

/** [r, g, b] of "#rrggbb". */
export function rgb(hex) {
  const whole = parseInt(hex.slice(1, 7), 16);
  return [whole >> 16, (whole >> 8) & 255, whole & 255];
}

export const scaleOf = (name) => scales[name] ?? scales.viridis;

/** Colour of a value in a layer, "#rrggbb". */
export function colourOf(layer, value) {
  if (layer.kind === "classes") return classOf(layer, value)?.colour ?? "#888888";
  const [low, high] = layer.range;
  const share = (value - low) / (high - low || 1);
  return scaleOf(layer.colours)[Math.max(0, Math.min(255, Math.floor(share * 256)))];
}

export const classOf = (layer, value) => layer.classes?.find((one) => one.value === Math.round(value));

export const valueOf = (layer, raw) => raw * layer.scale + layer.offset;

const tables = new Map();

/** Colours of all 65,536 numbers of a tile, as 32-bit pixels of a canvas. */
export function table(layer) {
  const key = [layer.id, layer.colours, layer.range, layer.scale, layer.offset].join();
  if (!tables.has(key)) {
    const colours = new Uint32Array(65536);
    const packed = new Map();
    for (let raw = 0; raw < 65536; raw++) {
      const hex = colourOf(layer, valueOf(layer, raw));
      if (!packed.has(hex)) {
        const [r, g, b] = rgb(hex);
        packed.set(hex, ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
      }
      colours[raw] = packed.get(hex);
    }
    tables.set(key, colours);
  }
  return tables.get(key);
}

/** Round numbers for the ends and the middle of a legend, at most `most` of them, inside [low, high]. */
export function ticks(low, high, most = 5) {
  const rough = (high - low) / most;
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step);
  return found;
}
