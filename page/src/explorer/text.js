// A text model: tokens, K.Q table and softmax by layer and head, next tokens.
import { ask } from "../shared/data.js";
import { h } from "../shared/dom.js";
import { number, percent, t } from "../shared/language.js";
import { bars } from "./bars.js";
import { accent, signs } from "./colours.js";
import { failure, readout, section } from "./frame.js";
import { headChooser } from "./heads.js";
import { heat, sideOf } from "./heat.js";
import { trainingSection } from "./results.js";
import { extent, slice, softmax, unpack } from "./unpack.js";

const SHOWN = 12; // next tokens
const BESIDE = 6; // heads that leave room for tables beside their chooser

const range = (count) => Array.from({ length: count }, (_, i) => i);

export function textSections(facts, state) {
  const body = h("div", {});
  const sentence = h("textarea", { id: "sentence", rows: 2, maxlength: 2000, value: state.sentence ?? facts.sentence });
  sentence.value = state.sentence ?? facts.sentence;
  const form = h(
    "form",
    { className: "sentence", onsubmit: (event) => (event.preventDefault(), load()) },
    h("label", { for: "sentence" }, t("text.sentence")),
    sentence,
    h("button", { type: "submit", className: "primary" }, t("text.read")),
  );
  sentence.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) (event.preventDefault(), load());
  });

  let turn = 0; // the newest sentence wins, whichever answer comes last

  async function load() {
    const mine = ++turn;
    state.sentence = sentence.value;
    try {
      const answer = await (await ask("api/explorer/text.json", { text: sentence.value })).json();
      if (mine === turn) body.replaceChildren(...reading(answer, state));
    } catch (error) {
      if (mine === turn) body.replaceChildren(failure(error));
    }
  }

  load();
  const about = t(facts.causal ? "text.lead" : "text.leadEncoder", { layers: facts.layers, heads: facts.heads, width: facts.width, vocabulary: number(facts.vocabulary) });
  return [section("text", t("text.title"), [about, t("text.most", { most: facts.most })], form, body), trainingSection(facts.training)];
}

/** What is shown of one sentence. */
function reading(answer, state) {
  const { tokens } = answer;
  const [scores, weights] = [unpack(answer.scores), unpack(answer.weights)];
  const [layers, heads, count] = scores.shape;
  const hidden = (row, col) => answer.causal && col > row;
  const tables = h("div", { className: "tables" });
  const line = readout(t("text.hover"));
  const chips = tokens.map((token, i) => h("span", { className: "token" }, h("b", {}, shown(token)), h("small", {}, String(i + 1))));
  let maps = [];

  function point(row, col) {
    const [layer, head] = chooser.current();
    const [score, weight] = [slice(scores, layer, head, row)[col], slice(weights, layer, head, row)[col]];
    chips.forEach((chip, i) => (chip.className = `token${i === row ? " query" : ""}${i === col ? " key" : ""}`));
    const values = { query: shown(tokens[row]), key: shown(tokens[col]), score: number(score, 3), weight: number(weight, 3) };
    line.say(t(hidden(row, col) ? "text.masked" : "text.cell", values));
    for (const map of maps) if (map.at?.join() !== `${row},${col}`) ((map.at = [row, col]), map.show(row, col));
  }

  function choose(layer, head) {
    const raw = slice(scores, layer, head);
    const seen = Float64Array.from(raw, (value, i) => (hidden(Math.floor(i / count), i % count) ? NaN : value));
    const most = Math.max(...extent(seen).map(Math.abs));
    const names = tokens.map(shown);
    const common = { rows: count, cols: count, names, point, width: widthOfCells(names, heads) };
    const where = t("heads.one", { layer: layer + 1, head: head + 1 });
    const softened = Float64Array.from(slice(weights, layer, head), (value, i) => (hidden(Math.floor(i / count), i % count) ? NaN : value));
    maps = [
      heat({ ...common, values: seen, paint: signs(most), label: `${t("text.scores")}, ${where}`, write: (value) => number(value, 1) }),
      heat({ ...common, values: softened, paint: accent(), label: `${t("text.weights")}, ${where}`, write: (value) => number(value, 2) }),
    ];
    tables.replaceChildren(
      h("figure", {}, h("figcaption", {}, t("text.scores")), maps[0].element),
      h("figure", {}, h("figcaption", {}, t("text.weights")), maps[1].element),
    );
  }

  const chooser = headChooser({
    layers: range(layers).map((i) => String(i + 1)),
    heads,
    picture: (layer, head) => ({ rows: count, cols: count, values: slice(weights, layer, head) }),
    paint: accent(),
    choose: (layer, head) => ((state.head = [layer, head]), choose(layer, head)),
  });
  chooser.select(...(within(state.head, layers, heads) ?? mostSelective(weights)), false);
  return [
    h("h3", {}, t("text.tokens", { count })),
    h("p", { className: "tokens" }, chips),
    h("h3", {}, t("text.attention")),
    h("p", { className: "note" }, t(answer.causal ? "text.howCausal" : "text.how")),
    h("div", { className: heads > BESIDE ? "instrument stacked" : "instrument" }, chooser.element, h("div", {}, tables, line.element)),
    answer.next && nextTokens(answer.next, state),
  ].filter(Boolean);
}

const within = (at, layers, heads) => (at && at[0] < layers && at[1] < heads ? at : null);

/** Width that leaves room for two tables side by side, or for one on a phone, CSS pixels. */
function widthOfCells(names, heads) {
  const page = Math.min(1320, document.documentElement.clientWidth);
  const beside = heads > BESIDE ? 0 : heads * 52 + 52;
  const room = page > 1000 ? (page - 168 - 122 - beside) / 2 - 14 : page - 40;
  return Math.min(520, room - sideOf(names));
}

/** The head whose rows are least even: where the pattern is easiest to see. */
function mostSelective(weights) {
  const [layers, heads] = weights.shape;
  let [best, most] = [[0, 0], -1];
  for (let layer = 0; layer < layers; layer++) {
    for (let head = 0; head < heads; head++) {
      const sum = slice(weights, layer, head).reduce((total, value) => total + value ** 2, 0);
      if (sum > most) [best, most] = [[layer, head], sum];
    }
  }
  return best;
}

/** Names of tokens with their leading space as a middle dot are easier to read without it. */
const shown = (token) => token.replace(/^·/, "").trim() || token;

function nextTokens({ names, logits }, state) {
  const values = unpack(logits).data;
  const rows = h("div", {});
  const written = h("output", { for: "temperature" });
  const slider = h("input", { type: "range", id: "temperature", min: 10, max: 300, step: 5, value: 100, oninput: () => draw() });
  slider.value = Math.round(100 * (state.temperature ?? 1));

  function draw() {
    state.temperature = slider.value / 100;
    written.textContent = number(state.temperature, 2);
    const shares = softmax(values, state.temperature);
    const list = names.slice(0, SHOWN).map((name, i) => ({ name: shown(name), value: shares[i], text: share(shares[i]), strong: i === 0 }));
    const rest = shares.slice(list.length).reduce((sum, value) => sum + value, 0);
    rows.replaceChildren(
      bars(list, { label: t("next.title"), most: 1 }),
      h("p", { className: "note" }, t("next.rest", { count: number(values.length - list.length), share: share(rest) })),
    );
  }

  draw();
  return h(
    "div",
    { className: "next" },
    h("h3", {}, t("next.title")),
    h("p", { className: "note" }, t("next.how")),
    h("label", { className: "slider", for: "temperature" }, h("span", {}, t("next.temperature")), slider, written),
    rows,
  );
}

export const share = (value) => (value >= 0.0995 ? percent(value) : `${number(100 * value, value >= 0.00095 ? 1 : 2)} %`);
