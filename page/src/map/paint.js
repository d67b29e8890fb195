// From decoded tiles to canvases: colours, masked land, and where the model does not apply.
import { hasValue, masked, rgb, table, trusted } from "./scales.js";
import { SIDE } from "./tiles.js";

const HATCH = 8; // CSS pixels between lines

export const canvasOf = (width, height = width) => new OffscreenCanvas(Math.max(1, width), Math.max(1, height));

/** Colours of a tile as a canvas of 256 pixels a side. */
function coloured(data, layer, maskedColour) {
  const canvas = canvasOf(SIDE);
  const context = canvas.getContext("2d");
  if (layer.kind === "rgb") {
    context.putImageData(data, 0, 0);
    return canvas;
  }
  const colours = table(layer);
  const image = new ImageData(SIDE, SIDE);
  const pixels = new Uint32Array(image.data.buffer);
  const [r, g, b] = rgb(maskedColour);
  const grey = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  const from = data.data;
  for (let i = 0, at = 0; i < pixels.length; i++, at += 4) {
    if (hasValue(from[at + 2])) pixels[i] = colours[from[at] * 256 + from[at + 1]];
    else if (masked(from[at + 2])) pixels[i] = grey;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Where a value exists but the model does not apply, opaque; null where there is no such pixel. */
function untrusted(data) {
  const image = new ImageData(SIDE, SIDE);
  const from = data.data;
  let any = false;
  for (let at = 2; at < from.length; at += 4) {
    if (hasValue(from[at]) && !trusted(from[at])) {
      image.data[at + 1] = 255;
      any = true;
    }
  }
  if (!any) return null;
  const canvas = canvasOf(SIDE);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

const prepared = new WeakMap();

/** {colours, untrusted} of a decoded tile; made once for a style. */
export function prepare(data, layer, maskedColour) {
  const key = `${layer.id}${layer.range}${maskedColour}`;
  const held = prepared.get(data);
  if (held?.key === key) return held;
  const made = {
    key,
    colours: coloured(data, layer, maskedColour),
    untrusted: layer.kind === "rgb" ? null : untrusted(data),
  };
  prepared.set(data, made);
  return made;
}

/** Diagonal lines, dark beside light, so that they show on every colour; moved by whole pixels with the map. */
export function hatching(context, ratio, x0, y0) {
  const side = Math.max(4, Math.round(HATCH * ratio));
  const canvas = canvasOf(side);
  const pen = canvas.getContext("2d");
  for (const [shift, colour] of [[0, "rgba(20, 26, 28, .8)"], [side / 7, "rgba(255, 255, 255, .45)"]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = side / 8;
    pen.beginPath();
    for (const k of [-1, 0, 1]) {
      pen.moveTo(k * side - 1 + shift, side + 1);
      pen.lineTo((k + 1) * side + 1 + shift, -1);
    }
    pen.stroke();
  }
  const pattern = context.createPattern(canvas, "repeat");
  const shift = [x0, y0].map((one) => -(((Math.round(one * ratio) % side) + side) % side));
  pattern.setTransform(new DOMMatrix().translate(...shift));
  return pattern;
}
