// Texts in the chosen language, and numbers as that language writes them.

let current = "en";
let dictionary = {};

export const LANGUAGES = { en: "English", es: "Español" };

/** Language of the browser where we have it, otherwise English. */
export const preferred = () => (navigator.language?.toLowerCase().startsWith("es") ? "es" : "en");

/** Choose the language; `words` is {key: {en, es}}. */
export function speak(language, words) {
  current = Object.hasOwn(LANGUAGES, language) ? language : "en";
  dictionary = words;
  document.documentElement.lang = current;
}

export const language = () => current;

/** Text of a key; {name} in it is replaced by the property of that name. */
export function t(key, values = {}) {
  const entry = dictionary[key];
  if (!entry) throw new Error(`no text for ${key}`);
  return entry[current].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Text of the server: a string, or one for each language; a number stays with its percent sign. */
export const say = (text) =>
  (typeof text === "string" ? text : (text?.[current] ?? text?.en ?? "")).replace(/(\d) %/g, "$1\u00a0%");

const formats = new Map();

/** Number with a fixed count of decimals; a dash where there is none. */
export function number(value, decimals = 0) {
  if (!Number.isFinite(value)) return "–";
  const key = `${current}${decimals}`;
  if (!formats.has(key)) {
    formats.set(
      key,
      new Intl.NumberFormat(current, { minimumFractionDigits: decimals, maximumFractionDigits: decimals, useGrouping: "min2" }),
    );
  }
  const text = formats.get(key).format(value);
  return text.replace("-", "−").replace(/^−(0([.,]0*)?)$/, "$1");
}

/** Decimals that a quantity of this size deserves. */
export function decimals(size) {
  const whole = Math.abs(size);
  if (!(whole > 0) || whole >= 9.5) return 0;
  return Math.min(Math.max(1 - Math.floor(Math.log10(whole)), 1), 6);
}

/** Number with two significant digits, whole ones from 10 on. */
export const amount = (value, size = value) => number(value, decimals(size));

/** Number with its sign. */
export const signed = (value, places) => (value > 0 ? "+" : "") + number(value, places);

export const percent = (share) => `${number(100 * share)}\u00a0%`;

/** Degrees as people write places: 25.31° S, 134.10° E. */
export function place(lon, lat, places = 2) {
  const west = ((((lon + 180) % 360) + 360) % 360) - 180;
  const names = current === "es" ? ["N", "S", "E", "O"] : ["N", "S", "E", "W"];
  return `${number(Math.abs(lat), places)}° ${lat < 0 ? names[1] : names[0]}, ${number(Math.abs(west), places)}° ${west < 0 ? names[3] : names[2]}`;
}
