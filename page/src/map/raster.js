// A layer of the run on a sheet of the map: one canvas at the resolution of the screen, at any zoom.
import { toX, toY } from "./mercator.js";
import { canvasOf, hatching, prepare } from "./paint.js";
import { Sheet } from "./sheet.js";
import { SIDE, tile, tileNow } from "./tiles.js";

/**
 * What a sheet shows.
 * @typedef {{layer: object, year: number|null, hatch: boolean, maskedColour: string}} Look
 */

const MOST = 150; // tiles of one view
const COARSE_FIRST = 4; // missing tiles from which coarse ones are read first

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

/** Screens with two device pixels a CSS pixel show finer tiles. */
const finer = () => 0.8 * Math.log2(clamp(window.devicePixelRatio || 1, 1, 2));

/** Zoom of the tiles that a view shows. */
export const tileZoom = (run, { zoom, fine = finer() }, layer) =>
  clamp(
    Math.round(zoom + fine),
    Math.max(run.minzoom, layer.minzoom ?? 0),
    Math.min(run.maxzoom, layer.maxzoom ?? run.maxzoom),
  );

/** Tiles that a view needs: [{z, x, y, left, top, right, bottom}], edges in CSS pixels of the view. */
export function tilesOf(run, view, layer) {
  const z = tileZoom(run, view, layer);
  const count = 2 ** z;
  const side = view.scale / count;
  const [west, south, east, north] = run.bounds;
  const first = (start, edge) => Math.floor(Math.max(start / side, edge * count));
  const last = (end, edge) => Math.ceil(Math.min(end / side, edge * count) - 1e-9) - 1;
  const found = [];
  for (let x = first(view.x0, toX(west)); x <= last(view.x0 + view.width, toX(east)); x++) {
    for (let y = first(view.y0, toY(north)); y <= last(view.y0 + view.height, toY(south)); y++) {
      const [left, top] = [x * side - view.x0, y * side - view.y0];
      found.push({ z, x, y, left, top, right: left + side, bottom: top + side });
    }
  }
  return found.length > MOST ? [] : found; // a layer without coarse tiles, seen from far away
}

const wrapped = ({ z, x, y }) => [z, ((x % 2 ** z) + 2 ** z) % 2 ** z, y];

/** The tile itself or, until it is there, the part of a coarser one: {data, crop}, or null. */
function best(look, one, minzoom) {
  const [z, x, y] = wrapped(one);
  for (let up = 0; z - up >= minzoom && up < 5; up++) {
    const data = tileNow(look.layer, look.year, z - up, x >> up, y >> up);
    if (data === null) return null;
    if (!data) continue;
    const side = SIDE / 2 ** up;
    return { data, crop: [(x % 2 ** up) * side, (y % 2 ** up) * side, side, side] };
  }
  return null;
}

/** Promise of all tiles of a view. */
export const gather = (run, view, look) =>
  Promise.allSettled(tilesOf(run, view, look.layer).map((one) => tile(look.layer, look.year, ...wrapped(one))));

/** Decoded tiles of a view: [{data, z, x, y}], for reading values. */
export const decoded = (run, view, look) =>
  tilesOf(run, view, look.layer)
    .map((one) => ({ ...one, data: tileNow(look.layer, look.year, ...wrapped(one)) }))
    .filter((one) => one.data);

/**
 * Draw what is decoded into a context whose transform has `ratio` device pixels a CSS pixel.
 * A pixel stays a pixel: nothing is interpolated between two predictions.
 */
export function drawRaster(context, run, view, look, ratio) {
  const snap = (value) => Math.round(value * ratio) / ratio;
  const hatch = look.hatch && look.layer.hatch !== false && look.layer.kind !== "rgb";
  const sheet = hatch ? canvasOf(Math.round(view.width * ratio), Math.round(view.height * ratio)) : null;
  const area = sheet?.getContext("2d");
  area?.scale(ratio, ratio);
  let any = false;
  context.imageSmoothingEnabled = look.layer.kind === "rgb";
  if (area) area.imageSmoothingEnabled = false;
  for (const one of tilesOf(run, view, look.layer)) {
    const held = best(look, one, run.minzoom);
    if (!held) continue;
    const [left, top] = [snap(one.left), snap(one.top)];
    const place = [left, top, snap(one.right) - left, snap(one.bottom) - top];
    const { colours, untrusted } = prepare(held.data, look.layer, look.maskedColour);
    context.drawImage(colours, ...held.crop, ...place);
    if (area && untrusted) {
      area.drawImage(untrusted, ...held.crop, ...place);
      any = true;
    }
  }
  if (!any) return;
  area.setTransform(1, 0, 0, 1, 0, 0);
  area.globalCompositeOperation = "source-in";
  area.fillStyle = hatching(area, ratio, view.x0, view.y0);
  area.fillRect(0, 0, sheet.width, sheet.height);
  context.drawImage(sheet, 0, 0, sheet.width / ratio, sheet.height / ratio);
}

/** Sheet of one layer; `done` is called when all its tiles are on the screen. */
export const RasterSheet = Sheet.extend({
  /** A few coarse tiles show the whole view at once, while the fine ones come. */
  _coarse(view, again) {
    const { layer, year } = this.look;
    const rough = { ...view, zoom: view.zoom - 3, fine: 0 };
    for (const one of tilesOf(this._run, rough, layer)) tile(layer, year, ...wrapped(one)).then(again, () => {});
  },

  initialize(run, look, done, options) {
    Sheet.prototype.initialize.call(this, (context, view, ratio) => this._paint(context, view, ratio), options);
    // `wanted` is the look that the reader chose, `look` the one that is drawn until its tiles are there.
    Object.assign(this, { _run: run, look, wanted: look, _done: done, complete: Promise.resolve() });
  },

  /** Show another layer or year as soon as all its tiles are there, so that nothing flashes. */
  show(look) {
    this.wanted = look;
    if (!this._view) {
      this.look = look;
      return (this.complete = Promise.resolve());
    }
    return (this.complete = gather(this._run, this._view, look).then(() => {
      if (this.wanted !== look) return;
      this.look = look;
      this.redraw();
    }));
  },

  _paint(context, view, ratio) {
    this._view = view;
    drawRaster(context, this._run, view, this.look, ratio);
    const missing = tilesOf(this._run, view, this.look.layer).filter(
      (one) => tileNow(this.look.layer, this.look.year, ...wrapped(one)) === undefined,
    );
    if (!missing.length) return void this._done?.();
    const look = this.look;
    let waiting = false;
    const again = () => {
      if (waiting || this._view !== view || this.look !== look) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        if (this._view === view && this.look === look && this._map) this._repaint();
      });
    };
    if (this._asked?.view === view && this._asked.look === look) return; // these tiles are on their way
    this._asked = { view, look };
    if (missing.length > COARSE_FIRST) this._coarse(view, again);
    this.complete = Promise.allSettled(
      missing.map((one) => tile(look.layer, look.year, ...wrapped(one)).then(again)),
    ).then(() => new Promise((resolve) => requestAnimationFrame(() => resolve(again()))));
  },
});
