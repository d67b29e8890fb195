// Value tiles: pictures whose pixels are numbers. They are fetched once, decoded and kept, least recently used first out.
import { fromDisk } from "../shared/data.js";
import { toX, toY } from "./mercator.js";
import { hasValue, masked, trusted, valueOf } from "./scales.js";
import { keyOf } from "./years.js";

export const SIDE = 256;
const KEPT = 400; // decoded tiles, 256 KB each

const cache = new Map();

/** Path of a tile, relative to the page. */
export const pathOf = (layer, year, z, x, y) => `tiles/${layer.id}/${keyOf(layer.years ? year : null)}/${z}/${x}/${y}.png`;

async function decode(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, SIDE, SIDE);
}

async function load(path) {
  const answer = await fetch(path);
  if (answer.status === 204 || answer.status === 404) return null; // outside the raster
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return decode(await answer.blob());
}

/** ImageData of a tile, null outside the raster. */
export function tile(layer, year, z, x, y) {
  const path = pathOf(layer, year, z, x, y);
  const held = cache.get(path) ?? { data: undefined };
  cache.delete(path);
  cache.set(path, held);
  held.promise ??= load(path).then(
    (data) => (held.data = data),
    (error) => {
      cache.delete(path);
      throw error;
    },
  );
  if (cache.size > KEPT) cache.delete(cache.keys().next().value);
  return held.promise;
}

/** ImageData if it is already decoded, otherwise undefined. */
export const tileNow = (layer, year, z, x, y) => cache.get(pathOf(layer, year, z, x, y))?.data;

/** What the pixel of a tile says: {value, trusted}, {masked: true} of masked land, or null without either. */
export function readPixel(data, layer, column, row) {
  if (!data) return null;
  const at = 4 * (row * SIDE + column);
  const bits = data.data[at + 2];
  if (!hasValue(bits)) return masked(bits) ? { masked: true } : null;
  return { value: valueOf(layer, data.data[at] * 256 + data.data[at + 1]), trusted: trusted(bits) };
}

/** Where a place lies among the tiles of a zoom: {x, y, column, row}. */
export function locate(lon, lat, z) {
  const count = 2 ** z;
  const x = ((toX(lon) % 1) + 1) % 1;
  const [right, down] = [x * count * SIDE, toY(lat) * count * SIDE].map(Math.floor);
  const [column, row] = [right % SIDE, down % SIDE];
  return { x: (right - column) / SIDE, y: (down - row) / SIDE, column, row };
}

/** What the tiles of zoom `z` say of a place, as `readPixel`. */
export async function valueAt(layer, year, lon, lat, z) {
  if (fromDisk) return null;
  const { x, y, column, row } = locate(lon, lat, z);
  return readPixel(await tile(layer, year, z, x, y), layer, column, row);
}

/** The same at once, if the tile is decoded; undefined if it is not. */
export function valueNow(layer, year, lon, lat, z) {
  const { x, y, column, row } = locate(lon, lat, z);
  const data = tileNow(layer, year, z, x, y);
  return data === undefined ? undefined : readPixel(data, layer, column, row);
}
