// Arrays of the server: whole numbers of 16 bits or floats of 32, in base64, little endian.

const MISSING = 65535;

/** @typedef {{shape: number[], data: Float64Array}} Values */

/** Values of an entry; NaN where there is none. @returns {Values} */
export function unpack(entry) {
  const text = atob(entry.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const view = new DataView(bytes.buffer);
  const size = entry.type === "float32" ? 4 : 2;
  const data = new Float64Array(bytes.length / size);
  for (let i = 0; i < data.length; i++) {
    if (size === 4) data[i] = view.getFloat32(i * 4, true);
    else {
      const raw = view.getUint16(i * 2, true);
      data[i] = raw === MISSING ? NaN : raw * entry.scale + entry.offset;
    }
  }
  return { shape: entry.shape, data };
}

/** The part of an array under its first indexes, as a view. @returns {Float64Array} */
export function slice({ shape, data }, ...indexes) {
  let [start, size] = [0, data.length];
  indexes.forEach((index, axis) => {
    size /= shape[axis];
    start += index * size;
  });
  return data.subarray(start, start + size);
}

/** Smallest and largest of the numbers that are finite. */
export function extent(data) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of data) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}

/** Cosine of the features of cell `at` with those of every cell; features are (F, n). @returns {Float64Array} */
export function cosines({ shape: [count, cells], data }, at, centred) {
  const out = new Float64Array(cells);
  const [here, norm] = [new Float64Array(count), new Float64Array(cells)];
  for (let f = 0; f < count; f++) {
    const row = data.subarray(f * cells, (f + 1) * cells);
    const mean = centred ? row.reduce((sum, value) => sum + value, 0) / cells : 0;
    here[f] = row[at] - mean;
    for (let i = 0; i < cells; i++) {
      out[i] += (row[i] - mean) * here[f];
      norm[i] += (row[i] - mean) ** 2;
    }
  }
  const length = Math.sqrt(norm[at]);
  for (let i = 0; i < cells; i++) out[i] /= length * Math.sqrt(norm[i]) || 1;
  return out;
}

/** Correlation of cell `at` with every cell by a kernel over distance; points are (3, n). @returns {Float64Array} */
export function correlations({ shape: [, cells], data }, at, terms) {
  const out = new Float64Array(cells);
  for (let i = 0; i < cells; i++) {
    const distance = Math.hypot(...[0, 1, 2].map((axis) => data[axis * cells + i] - data[axis * cells + at]));
    for (const { share, range } of terms) out[i] += range === null ? share : share * Math.exp(-distance / range);
  }
  return out;
}

/** Softmax of logits at a temperature. @returns {Float64Array} */
export function softmax(logits, temperature) {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const shares = Float64Array.from(logits, (value) => Math.exp((value - most) / temperature));
  const total = shares.reduce((sum, value) => sum + value, 0);
  return shares.map((value) => value / total);
}
