// Small maps of the cells of a coarse grid, with the coast; a place is chosen by mouse or arrow keys.
import { h } from "../shared/dom.js";
import { colour } from "../shared/theme.js";

let [lines, land] = [[], []];

/** Land, coast and borders for all maps, from ground.json. */
export function setCoast(ground) {
  [lines, land] = [[], []];
  for (const { geometry, properties } of ground.features) {
    if (properties.kind === "land") land.push(...geometry.coordinates.flat());
    if (!["coast", "border"].includes(properties.kind)) continue;
    const parts = geometry.type === "MultiLineString" ? geometry.coordinates : [geometry.coordinates];
    lines.push(...parts.map((points) => ({ kind: properties.kind, points })));
  }
}

/** Grid of cells in longitude and latitude. */
export class Cells {
  constructor({ bounds, rows, cols, cells }) {
    Object.assign(this, { bounds, rows, cols, cells });
    this.numbers = new Map(cells.map((cell, i) => [cell, i]));
  }

  /** Longitude and latitude of the middle of the i-th mapped cell. */
  lonlat(i) {
    const [west, south, east, north] = this.bounds;
    const [row, col] = [Math.floor(this.cells[i] / this.cols), this.cells[i] % this.cols];
    return [west + ((col + 0.5) * (east - west)) / this.cols, north - ((row + 0.5) * (north - south)) / this.rows];
  }

  /** Row and column, not whole, of a place. */
  position(lon, lat) {
    const [west, south, east, north] = this.bounds;
    const turned = lon + 360 * Math.ceil((west - lon) / 360);
    const wrapped = turned - 360 >= west ? turned - 360 : turned;
    return [((north - lat) / (north - south)) * this.rows, ((wrapped - west) / (east - west)) * this.cols];
  }

  /** Number of the mapped cell nearest to a row and column. */
  nearest(row, col) {
    let [best, least] = [0, Infinity];
    this.cells.forEach((cell, i) => {
      const distance = (Math.floor(cell / this.cols) + 0.5 - row) ** 2 + ((cell % this.cols) + 0.5 - col) ** 2;
      if (distance < least) [best, least] = [i, distance];
    });
    return best;
  }
}

/** One pixel a cell; where nothing is mapped it is transparent. */
function raster(cells, values, paint) {
  const canvas = h("canvas", {});
  [canvas.width, canvas.height] = [cells.cols, cells.rows];
  const context = canvas.getContext("2d");
  const image = context.createImageData(cells.cols, cells.rows);
  cells.cells.forEach((cell, i) => {
    if (Number.isFinite(values[i])) image.data.set([...paint(values[i]), 255], cell * 4);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

/** A map too small for a coast, as a picture of a button. */
export function thumbnail(cells, values, paint) {
  const canvas = raster(cells, values, paint);
  canvas.setAttribute("aria-hidden", "true");
  canvas.style.aspectRatio = `${cells.cols} / ${cells.rows}`;
  return canvas;
}

/**
 * @param {Cells} cells
 * @param {object} options
 * @param {string} options.label
 * @param {(cell: number, place: [number, number]) => void} options.choose   number of a mapped cell, and lon, lat
 * @param {{lonlat: [number, number][], paint: (i: number) => string}} [options.points]
 */
export function map(cells, { label, choose, points }) {
  const zoom = Math.max(2, Math.round(1120 / cells.cols));
  const [width, height] = [cells.cols * zoom, cells.rows * zoom];
  const canvas = h("canvas", { tabindex: 0, role: "application", "aria-label": label, className: "geo" });
  [canvas.width, canvas.height] = [width, height];
  canvas.style.aspectRatio = `${width} / ${height}`;
  const context = canvas.getContext("2d");
  let [shown, at] = [null, null];

  const xy = (lon, lat) => cells.position(lon, lat).reverse().map((v) => v * zoom);

  function draw() {
    context.clearRect(0, 0, width, height);
    ground();
    if (shown) {
      context.imageSmoothingEnabled = false;
      context.drawImage(raster(cells, shown.values, shown.paint), 0, 0, width, height);
    }
    coast();
    for (let i = 0; points && i < points.lonlat.length; i++) {
      const [x, y] = xy(...points.lonlat[i]);
      context.fillStyle = points.paint(i);
      context.fillRect(x - 2.5, y - 2.5, 5, 5);
    }
    if (at !== null) cross();
  }

  /** Add a line to the path; it is broken where it goes round the Earth. */
  function trace(line) {
    let last = null;
    for (const [lon, lat] of line) {
      const [x, y] = xy(lon, lat);
      if (last === null || Math.abs(x - last) > width / 2) context.moveTo(x, y);
      else context.lineTo(x, y);
      last = x;
    }
  }

  function ground() {
    context.beginPath();
    land.forEach(trace);
    context.fillStyle = colour("land");
    context.fill("evenodd");
  }

  function coast() {
    for (const { kind, points: line } of lines) {
      context.beginPath();
      trace(line);
      context.strokeStyle = colour(kind === "coast" ? "ink" : "border");
      context.lineWidth = kind === "coast" ? 2 : 1.2;
      context.setLineDash(kind === "coast" ? [] : [5, 4]);
      context.stroke();
    }
    context.setLineDash([]);
  }

  function cross() {
    const [x, y] = xy(...at);
    for (const [style, wide] of [[colour("halo"), 7], [colour("ink"), 3]]) {
      context.strokeStyle = style;
      context.lineWidth = wide;
      context.beginPath();
      context.arc(x, y, 11, 0, 2 * Math.PI);
      context.moveTo(x - 20, y);
      context.lineTo(x - 6, y);
      context.moveTo(x + 6, y);
      context.lineTo(x + 20, y);
      context.moveTo(x, y - 20);
      context.lineTo(x, y - 6);
      context.moveTo(x, y + 6);
      context.lineTo(x, y + 20);
      context.stroke();
    }
  }

  function pick(row, col) {
    const [west, south, east, north] = cells.bounds;
    at = [west + (col / cells.cols) * (east - west), north - (row / cells.rows) * (north - south)];
    draw();
    choose(cells.nearest(row, col), at);
  }

  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    pick(((event.clientY - box.top) / box.height) * cells.rows, ((event.clientX - box.left) / box.width) * cells.cols);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [row, col] = at ? cells.position(...at) : [cells.rows / 2, cells.cols / 2];
    const far = event.shiftKey ? 8 : 1;
    pick(Math.max(0, Math.min(cells.rows - 0.01, row + step[0] * far)), Math.max(0, Math.min(cells.cols - 0.01, col + step[1] * far)));
  });

  return {
    element: canvas,
    draw,
    show(values, paint) {
      shown = { values, paint };
      draw();
    },
    /** Put the crosshair on a place without asking about it. */
    mark(lon, lat) {
      at = [lon, lat];
      draw();
    },
    pick,
  };
}

/** Legend of a colour scale from low to high. */
export function legend(paint, low, high, texts) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  [canvas.width, canvas.height] = [256, 1];
  const context = canvas.getContext("2d");
  const image = context.createImageData(256, 1);
  for (let i = 0; i < 256; i++) image.data.set([...paint(low + ((high - low) * i) / 255), 255], i * 4);
  context.putImageData(image, 0, 0);
  return h("div", { className: "legend" }, canvas, h("div", { className: "ends note" }, texts.map((text) => h("span", {}, text))));
}
