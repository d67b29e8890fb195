"use strict";
/* A place that the reader moves over the invented landscape: its pixels as tokens, its location
   features, and the prediction of a Spatioformer.

   model: config and tensors of the network; land: west, north, pixel (degrees), side, step, bands,
   levels (base64, one byte a value: band by band, row by row), plots ([lon, lat, species]);
   start: [lon, lat]. */

const PLACE = {
  es: {
    lon: "Longitud", lat: "Latitud", keep: "Dejar los píxeles de donde está ahora, y mover solo la ubicación",
    map: "Mapa del paisaje inventado: más verde, más hojas. Los puntos son parcelas; el círculo, el lugar elegido. Muévalo aquí o con las dos barras.",
    species: (count) => `La red predice ${count} especies.`,
    kept: (lon, lat) => `Los píxeles son los de ${lon}°, ${lat}°.`,
    nearest: (count, km) => `La parcela más cercana está a ${km} km y tiene ${count} especies.`,
    features: "La ubicación: ondas de cada eje", axis: "eje", tokens: "Los tokens", token: "token", class: "clase",
    vector: "vector después de la ubicación", bands: { blue: "azul", green: "verde", red: "rojo", nir: "infrarrojo" },
  },
  en: {
    lon: "Longitude", lat: "Latitude", keep: "Keep the pixels of where it is now, and move only the location",
    map: "Map of the invented landscape: greener, more leaves. Dots are plots; the circle is the chosen place. Move it here or with the two sliders.",
    species: (count) => `The network predicts ${count} species.`,
    kept: (lon, lat) => `The pixels are those of ${lon}°, ${lat}°.`,
    nearest: (count, km) => `The nearest plot is ${km} km away and has ${count} species.`,
    features: "The location: waves along each axis", axis: "axis", tokens: "The tokens", token: "token", class: "class",
    vector: "vector after the location", bands: { blue: "blue", green: "green", red: "red", nir: "near infrared" },
  },
};
const KM = 111.2; // of one degree of latitude

class Landscape {
  constructor(land) {
    Object.assign(this, land);
    this.levels = Uint8Array.from(atob(land.levels), (letter) => letter.charCodeAt(0));
  }

  value(band, row, column) {
    return this.levels[(band * this.side + row) * this.side + column] * this.step;
  }

  /* The pixel of a place; pixels of the edge have no whole chip around them. */
  pixel_of(lon, lat, half) {
    const inside = (i) => Math.min(Math.max(Math.floor(i), half), this.side - 1 - half);
    return [inside((this.north - lat) / this.pixel), inside((lon - this.west) / this.pixel)];
  }

  center(row, column) {
    return [this.west + (column + 0.5) * this.pixel, this.north - (row + 0.5) * this.pixel];
  }

  /* P x P pixels around one, row by row, each with its bands. */
  chip(row, column, half) {
    const steps = Array.from({ length: 2 * half + 1 }, (_, i) => i - half);
    return steps.flatMap((y) => steps.map((x) => this.bands.map((_, band) => this.value(band, row + y, column + x))));
  }

  draw(canvas) {
    const context = canvas.getContext("2d"), image = context.createImageData(this.side, this.side);
    const [red, nir] = [this.bands.indexOf("red"), this.bands.indexOf("nir")];
    for (let i = 0; i < this.side ** 2; i++) {
      const [r, n] = [red, nir].map((band) => this.levels[band * this.side ** 2 + i]);
      const green = Math.min(Math.max(((n - r) / (n + r) - 0.2) / 0.7, 0), 1);
      image.data.set([232 - 176 * green, 222 - 102 * green, 190 - 126 * green, 255], 4 * i);
    }
    context.putImageData(image, 0, 0);
  }
}

function place(box, data, language, model) {
  const words = PLACE[language], network = new Network(model), land = new Landscape(model.land);
  const half = (model.config.patch - 1) / 2;
  let [row, column] = land.pixel_of(...model.start, half);
  let kept = null;

  const canvas = element("canvas", { width: land.side, height: land.side });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", words.map);
  const marker = element("span", { className: "marker" });
  const dots = land.plots.map(([lon, lat]) => at(element("span", { className: "dot" }), lon, lat));
  const map = element("div", { className: "map" }, canvas, ...dots, marker);
  const line = status(), features = wide(), tokens = wide();
  const keep = element("input", { type: "checkbox" });

  function at(mark, lon, lat) {
    const share = (degrees) => `${(100 * degrees) / (land.side * land.pixel)}%`;
    mark.style.left = share(lon - land.west);
    mark.style.top = share(land.north - lat);
    return mark;
  }
  const slider = (label, onchange) => {
    const last = land.side - 1 - half;
    const input = element("input", { type: "range", min: half, max: last, step: 1 }), value = element("output");
    input.addEventListener("input", () => { onchange(Number(input.value)); draw(); });
    return { input, value, label: element("label", { className: "slider" }, element("span", { textContent: label }), input, value) };
  };
  const east = slider(words.lon, (value) => { column = value; });
  const north = slider(words.lat, (value) => { row = land.side - 1 - value; });

  const draw = () => {
    const [lon, lat] = land.center(row, column);
    const result = network.species(land.chip(...(kept ?? [row, column]), half), lon, lat);
    const degrees = (value) => number(value, 2, language);
    [east.input.value, north.input.value] = [column, land.side - 1 - row];
    [[east, lon], [north, lat]].forEach(([bar, value]) => {
      bar.value.textContent = `${degrees(value)}°`;
      bar.input.setAttribute("aria-valuetext", `${degrees(value)}°`);
    });
    at(marker, lon, lat);
    const parts = [words.species(number(result.species, 1, language))];
    if (kept) parts.push(words.kept(...land.center(...kept).map(degrees)));
    line.replaceChildren(element("strong", { textContent: parts[0] }), parts[1] ? ` ${parts[1]}` : "", ` ${nearest(lon, lat)}`);
    features.replaceChildren(waveTable(result.location, network.config.wavelengths, words, language));
    tokens.replaceChildren(chipTable(land.chip(...(kept ?? [row, column]), half), result.placed, land.bands, words, language));
  };
  const nearest = (lon, lat) => {
    const far = ([x, y]) => KM * Math.hypot((x - lon) * Math.cos((lat * Math.PI) / 180), y - lat);
    const plot = land.plots.reduce((a, b) => (far(b) < far(a) ? b : a));
    return words.nearest(plot[2], number(far(plot), 1, language));
  };
  const drag = (event) => {
    const bounds = canvas.getBoundingClientRect(), degrees = land.side * land.pixel;
    [row, column] = land.pixel_of(land.west + ((event.clientX - bounds.left) / bounds.width) * degrees,
      land.north - ((event.clientY - bounds.top) / bounds.height) * degrees, half);
    draw();
  };
  map.addEventListener("pointerdown", (event) => { map.setPointerCapture(event.pointerId); drag(event); });
  map.addEventListener("pointermove", (event) => { if (map.hasPointerCapture(event.pointerId)) drag(event); });
  keep.addEventListener("change", () => { kept = keep.checked ? [row, column] : null; draw(); });

  land.draw(canvas);
  box.append(map, controls(east.label, north.label, element("label", { className: "tick" }, keep, element("span", { textContent: words.keep }))), line,
    element("h3", { textContent: words.features }), features, element("h3", { textContent: words.tokens }), tokens);
  draw();
}

/* Rows: axes of space; columns: sine, then cosine, of each wavelength. */
function waveTable(location, wavelengths, words, language) {
  const columns = ["sin", "cos"].flatMap((name, i) => wavelengths.map((length, w) => [name, length, 3 * wavelengths.length * i + w]));
  const head = columns.map(([name, length]) => element("th", { scope: "col", textContent: `${name} ${number(length, 1, language)}°` }));
  const rows = ["x", "y", "z"].map((axis, a) => element("tr", {}, element("th", { scope: "row", textContent: axis }),
    ...columns.map(([, , start]) => {
      const value = location[start + a * wavelengths.length];
      const cell = element("td", { className: "cell", textContent: number(value, 2, language) });
      cell.style.background = tint(value);
      return cell;
    })));
  return element("table", {}, element("tr", {}, element("th", { scope: "col", textContent: words.axis }), ...head), ...rows);
}

/* Rows: tokens; columns: the vector as a strip of colours, and the reflectances. */
function chipTable(pixels, vectors, bands, words, language) {
  const largest = Math.max(...vectors.flat().map(Math.abs));
  const names = [words.token, words.vector, ...bands.map((band) => words.bands[band])];
  const rows = vectors.map((vector, i) => {
    const strip = element("span", { className: "strip" }, ...vector.map((value) => {
      const cell = element("span");
      cell.style.background = tint(value / largest, 100);
      return cell;
    }));
    const values = i === 0 ? bands.map(() => "") : pixels[i - 1].map((value) => number(value, 3, language));
    return element("tr", {}, element("th", { scope: "row", textContent: i === 0 ? words.class : i }),
      element("td", {}, strip), ...values.map((text) => element("td", { className: "cell", textContent: text })));
  });
  return element("table", {}, element("tr", {}, ...names.map((name) => element("th", { scope: "col", textContent: name }))), ...rows);
}
