// The map as a picture for download: title, warnings, map, legend, scale bar, source.
import { say, t } from "../shared/language.js";
import { colour } from "../shared/theme.js";
import { drawGraticule, drawLand, drawLines, drawNames } from "./ground.js";
import { subtitle, tickLabels } from "./legend.js";
import { toX, toY } from "./mercator.js";
import { canvasOf, hatching } from "./paint.js";
import { drawPlots } from "./points.js";
import { drawRaster, gather } from "./raster.js";
import { bar } from "./scalebar.js";
import { colourOf } from "./scales.js";
import { viewOf } from "./sheet.js";
import { refused, warnings } from "./verdict.js";
import { yearName } from "./years.js";

const RATIO = 2; // pixels of the picture for a CSS pixel
const MARGIN = 28;
const HEAD = 72;
const FOOT = 124;
const LINE = 20; // of a warning below the title

const font = (weight, size) => `${weight} ${size}px ${colour("font")}`;

function write(context, text, x, y, style, ink, most) {
  context.font = style;
  context.fillStyle = ink;
  context.fillText(text, x, y, most);
}

function drawScale(context, layer, x, y, width) {
  if (layer.kind === "classes") {
    let at = x;
    for (const one of layer.classes) {
      context.fillStyle = one.colour;
      context.fillRect(at, y, 14, 14);
      write(context, say(one.title), at + 20, y + 12, font(400, 13), colour("ink"));
      at += 44 + context.measureText(say(one.title)).width;
    }
    return;
  }
  const [low, high] = layer.range;
  for (let k = 0; k < width; k++) {
    context.fillStyle = colourOf(layer, low + ((k + 0.5) / width) * (high - low));
    context.fillRect(x + k, y, 1.5, 12);
  }
  context.textAlign = "center";
  for (const [value, text] of tickLabels(layer)) {
    const at = x + ((value - low) / (high - low)) * width;
    context.fillStyle = colour("muted");
    context.fillRect(at - 0.5, y + 12, 1, 5);
    write(context, text, at, y + 31, font(400, 12), colour("muted"));
  }
  context.textAlign = "left";
}

function drawLegend(context, run, look, x, y, width) {
  const { layer } = look;
  write(context, say(layer.title), x, y, font(650, 14), colour("ink"), width);
  write(context, subtitle(run, layer, look.year), x, y + 17, font(400, 12), colour("muted"), width);
  if (layer.kind !== "rgb") drawScale(context, layer, x, y + 26, width);
}

function drawHatchKey(context, x, y) {
  context.strokeStyle = colour("muted");
  context.fillStyle = colour("pale");
  context.fillRect(x, y - 11, 14, 14);
  context.save();
  context.beginPath();
  context.rect(x, y - 11, 14, 14);
  context.clip();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = hatching(context, RATIO, 0, 0);
  context.fillRect(x * RATIO, (y - 11) * RATIO, 14 * RATIO, 14 * RATIO);
  context.restore();
  write(context, t("legend.hatch"), x + 20, y, font(400, 12), colour("muted"));
}

function drawScaleBar(context, view, lat, right, y) {
  const made = bar(view, lat, 160);
  context.fillStyle = colour("ink");
  context.fillRect(right - made.pixels, y, made.pixels, 2);
  context.fillRect(right - made.pixels, y - 6, 1.5, 8);
  context.fillRect(right - 1.5, y - 6, 1.5, 8);
  context.textAlign = "right";
  write(context, made.text, right, y - 10, font(600, 12), colour("ink"));
  context.textAlign = "left";
}

function drawAreas(context, view, polygons) {
  context.lineWidth = 2;
  polygons.forEach((one, k) => {
    context.strokeStyle = colour(k ? "series" : "accent");
    const rings = one.type === "Polygon" ? one.coordinates : one.coordinates.flat();
    context.beginPath();
    for (const ring of rings) {
      ring.forEach(([lon, lat], i) => {
        const at = [toX(lon) * view.scale - view.x0, toY(lat) * view.scale - view.y0];
        if (i) context.lineTo(...at);
        else context.moveTo(...at);
      });
      context.closePath();
    }
    context.stroke();
  });
}

/** Clip to the part of the map left or right of the divider. */
function side(context, from, to, height, draw) {
  context.save();
  context.beginPath();
  context.rect(from, 0, to - from, height);
  context.clip();
  draw();
  context.restore();
}

/** View of the part of the map that the picture shows. */
function framed({ map, frame }) {
  const whole = viewOf(map);
  const { left, top, width, height } = frame;
  return { ...whole, x0: whole.x0 + left, y0: whole.y0 + top, width: Math.round(width), height: Math.round(height), fine: 1 };
}

async function drawMap(context, { run, state, map, looks, plots, plotLayer, polygons, sites, frame }) {
  const view = framed({ map, frame });
  const shown = looks.filter(Boolean);
  await Promise.all(shown.map((look) => gather(run, view, look)));
  context.fillStyle = colour("sea");
  context.fillRect(0, 0, view.width, view.height);
  drawLand(context, view);
  const layers = canvasOf(Math.round(view.width * RATIO), Math.round(view.height * RATIO));
  const inner = layers.getContext("2d");
  inner.scale(RATIO, RATIO);
  const edge = shown.length > 1 ? state.divide * map.getSize().x - frame.left : view.width;
  side(inner, 0, edge, view.height, () => drawRaster(inner, run, view, shown[0], RATIO));
  if (shown[1]) side(inner, edge, view.width, view.height, () => drawRaster(inner, run, view, shown[1], RATIO));
  context.globalAlpha = state.opacity;
  context.drawImage(layers, 0, 0, view.width, view.height);
  context.globalAlpha = 1;
  drawLines(context, view);
  if (shown[1]) {
    context.fillStyle = colour("paper");
    context.fillRect(edge - 1, 0, 2, view.height);
  }
  if (state.graticule) drawGraticule(context, view);
  if (state.plots !== "none") drawPlots(context, view, plots, state.plots, plotLayer);
  drawAreas(context, view, polygons);
  if (state.names) drawNames(context, view);
  for (const site of sites) drawSite(context, view, site);
}

function drawSite(context, view, { lon, lat, order }) {
  const [x, y] = [toX(lon) * view.scale - view.x0, toY(lat) * view.scale - view.y0];
  context.beginPath();
  context.arc(x, y, 11, 0, 2 * Math.PI);
  context.fillStyle = colour("ink");
  context.fill();
  context.textAlign = "center";
  write(context, String(order), x, y + 4, font(650, 12), colour("paper"));
  context.textAlign = "left";
}

function drawMaskedKey(context, run, x, y) {
  context.fillStyle = colour("masked");
  context.fillRect(x, y - 11, 14, 14);
  write(context, t("legend.masked", { masks: run.masked }), x + 20, y, font(400, 12), colour("muted"));
}

/** PNG of the view as a Blob; `scene` is {run, state, map, looks, plots, plotLayer, polygons, sites, frame}. */
export async function picture(scene) {
  const { run, state, map, looks } = scene;
  const view = framed(scene);
  const width = Math.max(view.width, 420) + 2 * MARGIN;
  const narrow = width < 760;
  const foot = FOOT + (narrow ? 56 : 0);
  const said = warnings(run);
  const head = HEAD + LINE * said.length;
  const height = view.height + head + foot;
  const canvas = document.createElement("canvas");
  canvas.width = width * RATIO;
  canvas.height = height * RATIO;
  const context = canvas.getContext("2d");
  context.scale(RATIO, RATIO);
  context.fillStyle = colour("paper");
  context.fillRect(0, 0, width, height);
  const shown = looks.filter(Boolean);
  write(context, run.title ?? run.name, MARGIN, 36, font(650, 24), colour("ink"), width - 2 * MARGIN);
  const about = shown.map((look) => [say(look.layer.title), look.layer.years && yearName(look.year)].filter(Boolean).join(", ")).join("  |  ");
  write(context, about, MARGIN, 58, font(400, 14), colour("muted"), width - 2 * MARGIN);
  said.forEach((line, k) => write(context, line, MARGIN, 58 + LINE * (k + 1), font(650, 14), colour(refused(run) && !k ? "bad" : "ink"), width - 2 * MARGIN));

  const sheet = canvasOf(view.width * RATIO, view.height * RATIO);
  const inner = sheet.getContext("2d");
  inner.scale(RATIO, RATIO);
  await drawMap(inner, scene);
  context.drawImage(sheet, MARGIN, head, view.width, view.height);
  context.strokeStyle = colour("line");
  context.strokeRect(MARGIN, head, view.width, view.height);

  const y = head + view.height + 26;
  const column = Math.min(300, (width - 3 * MARGIN) / (narrow ? 1 : 3));
  shown.forEach((look, k) => !(narrow && k) && drawLegend(context, run, look, MARGIN + k * (column + MARGIN), y, column));
  const right = width - MARGIN;
  const low = narrow ? y + 82 : y;
  const keys = narrow ? MARGIN : MARGIN + shown.length * (column + MARGIN);
  const numbers = shown.filter((look) => look.layer.kind !== "rgb");
  const hatched = state.hatch && numbers.some((look) => look.layer.hatch !== false);
  if (hatched) drawHatchKey(context, keys, low);
  if (run.masked && numbers.length) drawMaskedKey(context, run, keys, hatched ? low + 20 : low);
  drawScaleBar(context, view, map.getCenter().lat, right, narrow ? low + 24 : low + 18);
  write(context, [t("page.credit"), run.model?.title && t("page.made", { model: run.model.title }), "Spatioformer"].filter(Boolean).join(" · "), MARGIN, height - 14, font(400, 11), colour("muted"), width - 2 * MARGIN);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
