"use strict";
/* A transformer in plain JavaScript: what the chapters explain, line by line.

   T tokens, D width, H heads, K = D / H. A sequence is an array of T vectors; a vector is an array of
   D numbers. Weights have the names of the Python network's `state_dict`. Numbers are float64, weights
   float32, so results differ from Python's, which are float32, by about 1e-6 of their size. */

/* Weights come as base64 text: little-endian float32, row by row. */
function decoded(encoded) {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

class Network {
  constructor({ config, tensors }) {
    this.config = config;
    this.tensors = Object.fromEntries(Object.entries(tensors).map(([name, text]) => [name, decoded(text)]));
  }

  /* Row i of a matrix whose rows have `width` numbers. */
  row(name, i, width) {
    return this.tensors[name].subarray(i * width, (i + 1) * width);
  }

  /* y = W x + b */
  linear(name, x) {
    const weight = this.tensors[`${name}.weight`], bias = this.tensors[`${name}.bias`];
    return Array.from(bias, (start, o) => {
      let sum = start;
      for (let i = 0; i < x.length; i++) sum += weight[o * x.length + i] * x[i];
      return sum;
    });
  }

  /* Mean 0 and variance 1, then scale and shift. */
  layerNorm(name, x) {
    const weight = this.tensors[`${name}.weight`], bias = this.tensors[`${name}.bias`];
    const mean = sum(x) / x.length;
    const variance = sum(x.map((value) => (value - mean) ** 2)) / x.length;
    return Array.from(x, (value, i) => ((value - mean) / Math.sqrt(variance + this.config.eps)) * weight[i] + bias[i]);
  }

  /* softmax(Q K^T / sqrt(K)) V of each head. sees(i, j): whether token i may look at token j. */
  attention(name, tokens, sees) {
    const { width, heads } = this.config, size = width / heads;
    const projected = tokens.map((x) => this.linear(`${name}.qkv`, x));
    const part = (x, which, head) => x.slice(which * width + head * size, which * width + (head + 1) * size);
    const scores = [], pattern = [];
    const mixed = tokens.map(() => []);
    for (let head = 0; head < heads; head++) {
      const [queries, keys, values] = [0, 1, 2].map((which) => projected.map((x) => part(x, which, head)));
      scores.push(queries.map((q) => keys.map((k) => dot(q, k) / Math.sqrt(size))));
      pattern.push(scores[head].map((row, i) => softmax(row.map((score, j) => (sees(i, j) ? score : -Infinity)))));
      pattern[head].forEach((weights, i) => {
        for (let c = 0; c < size; c++) mixed[i].push(sum(weights.map((weight, j) => weight * values[j][c])));
      });
    }
    return { scores, pattern, added: mixed.map((x) => this.linear(`${name}.out`, x)) };
  }

  mlp(name, x) {
    return this.linear(`${name}.down`, this.linear(`${name}.up`, x).map(ACTIVATIONS[this.config.activation]));
  }

  /* All layers: each adds its attention, then its MLP. */
  transformer(tokens, sees) {
    const layers = [];
    for (let number = 0; number < this.config.layers; number++) {
      const name = `transformer.blocks.${number}`;
      const { added, scores, pattern } = this.attention(
        `${name}.attention`, tokens.map((x) => this.layerNorm(`${name}.attention_norm`, x)), sees);
      tokens = tokens.map((x, i) => plus(x, added[i]));
      tokens = tokens.map((x) => plus(x, this.mlp(`${name}.mlp`, this.layerNorm(`${name}.mlp_norm`, x))));
      layers.push({ scores, pattern });
    }
    return { tokens: tokens.map((x) => this.layerNorm("transformer.norm", x)), layers };
  }

  /* GPT: ids -> logits of the token after the last one. Nobody else looks at the tokens of the set `hidden`. */
  next(ids, hidden = new Set()) {
    const { width, vocabulary } = this.config;
    const start = ids.map((id, i) => plus(this.row("embedding.weight", id, width), this.row("positions.weight", i, width)));
    const { tokens, layers } = this.transformer(start, (i, j) => j <= i && (j === i || !hidden.has(j)));
    const last = tokens.at(-1);
    const logits = Array.from({ length: vocabulary }, (_, id) => dot(this.row("embedding.weight", id, width), last));
    return { logits, layers };
  }

  /* Spatioformer: a chip (P x P pixels, each with its bands) and the place of its centre -> species. */
  species(pixels, lon, lat) {
    const { width, band_mean, band_sd, target_mean } = this.config;
    const projected = pixels.map((bands, i) => {
      const scaled = bands.map((value, b) => (value - band_mean[b]) / band_sd[b]);
      const vector = this.linear("chip_tokens.projection", this.piecewise(scaled));
      return plus(vector, this.row("chip_tokens.position", i, width));
    });
    const tokens = [Array.from(this.tensors.class_token), ...projected];
    const location = waves(lon, lat, this.config.wavelengths);
    const film = this.linear("film.linear", location);
    const placed = tokens.map((x) => x.map((value, c) => value * (1 + film[c]) + film[width + c]));
    const read = this.transformer(placed, () => true);
    const mean = read.tokens[0].map((_, c) => sum(read.tokens.map((x) => x[c])) / read.tokens.length);
    const [output] = this.linear("head.3", this.linear("head.0", mean).map(ACTIVATIONS.gelu));
    return { species: Math.exp(output + target_mean), location, tokens, placed, layers: read.layers };
  }

  /* How far each band has passed through each of its intervals, 0 to 1. */
  piecewise(bands) {
    const low = this.tensors["chip_tokens.encoding.low"], step = this.tensors["chip_tokens.encoding.width"];
    const intervals = low.length / bands.length;
    return Array.from(low, (edge, i) => Math.min(Math.max((bands[Math.floor(i / intervals)] - edge) / step[i], 0), 1));
  }
}

/* Location features: waves along the three axes of space, of the unit vector in degrees of arc. */
function waves(lon, lat, wavelengths) {
  const DEGREES = 180 / Math.PI, [x, y] = [lon / DEGREES, lat / DEGREES];
  const unit = [Math.cos(y) * Math.cos(x), Math.cos(y) * Math.sin(x), Math.sin(y)];
  const phases = unit.flatMap((u) => wavelengths.map((length) => (2 * Math.PI * u * DEGREES) / length));
  return [...phases.map(Math.sin), ...phases.map(Math.cos)];
}

const ACTIVATIONS = {
  relu: (x) => Math.max(x, 0),
  gelu: (x) => (x * (1 + erf(x / Math.SQRT2))) / 2,
  gelu_tanh: (x) => (x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))) / 2,
};

/* Abramowitz & Stegun 7.1.26; error below 1.5e-7. */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592].reduce((all, a) => all * t + a, 0) * t;
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}

function softmax(scores, temperature = 1) {
  const highest = scores.reduce((a, b) => Math.max(a, b));
  const weights = scores.map((score) => Math.exp((score - highest) / temperature));
  const total = sum(weights);
  return weights.map((weight) => weight / total);
}

function sum(x) {
  return x.reduce((a, b) => a + b, 0);
}

function dot(a, b) {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
}

function plus(a, b) {
  return Array.from(a, (value, i) => value + b[i]);
}
