"use strict";
/* A sentence that the reader writes: its tokens, the scores of each head, and the next token.

   data: sentences to begin with, count of next tokens, most tokens. */

const SENTENCE = {
  es: {
    write: "Escriba una frase", examples: "o elija una", tokens: "Tokens. Pulse uno para esconderlo:",
    table: "Tabla", kinds: { scores: "q · k / √d", pattern: "patrón" },
    next: (token, share) => `El token más probable ahora es ${token}, con ${share}.`,
    before: "La barra clara es la de antes de esconder tokens.",
    empty: "Escriba al menos una palabra.",
    long: (count, most) => `La frase tiene ${count} tokens. Esta figura lee ${most} como máximo: quite ${count - most}.`,
  },
  en: {
    write: "Write a sentence", examples: "or choose one", tokens: "Tokens. Press one to hide it:",
    table: "Table", kinds: { scores: "q · k / √d", pattern: "pattern" },
    next: (token, share) => `The likeliest token now is ${token}, with ${share}.`,
    before: "The pale bar is that before tokens were hidden.",
    empty: "Write at least one word.",
    long: (count, most) => `The sentence has ${count} tokens. This figure reads at most ${most}: take ${count - most} away.`,
  },
};

function sentence(box, data, language, model) {
  const words = SENTENCE[language];
  const network = new Network(model), tokenizer = new Tokenizer(model.tokenizer);
  const input = element("input", { type: "text", value: data.sentences[0], autocomplete: "off", spellcheck: false, lang: "es" });
  const examples = element("select", {}, ...data.sentences.map((text) => element("option", { textContent: text, lang: "es" })));
  const kind = element("select", {}, ...["scores", "pattern"].map((name) => element("option", { value: name, textContent: words.kinds[name] })));
  const chips = controls(), list = element("div", { className: "bars" }), line = status();
  const note = element("p", { className: "muted" }), table = wide();
  const hiding = new Set();
  let ids = [], names = [], read = null, whole = null;

  const write = () => {
    ids = tokenizer.encode(input.value.trim());
    names = ids.map((id) => tokenizer.shown[id]);
    hiding.clear();
    chips.replaceChildren();
    const refused = ids.length === 0 ? words.empty : ids.length > data.most ? words.long(ids.length, data.most) : "";
    for (const part of [list, note, table]) part.replaceChildren();
    if (refused) {
      line.textContent = refused;
      read = null;
      return;
    }
    chips.append(element("span", { textContent: words.tokens }), ...names.map(chip));
    whole = softmax(network.next(ids).logits);
    compute();
  };
  /* The last token makes the prediction, so it cannot be hidden. */
  const chip = (name, i) => {
    const button = element("button", { type: "button", textContent: name, disabled: i === ids.length - 1 });
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      if (!hiding.delete(i)) hiding.add(i);
      button.setAttribute("aria-pressed", String(hiding.has(i)));
      button.classList.toggle("hidden-word", hiding.has(i));
      compute();
    });
    return button;
  };
  const compute = () => {
    read = network.next(ids, hiding);
    const shares = softmax(read.logits);
    const order = [...shares.keys()].sort((a, b) => shares[b] - shares[a]).slice(0, data.count);
    bars(list, order.map((i) => [tokenizer.shown[i], shares[i], ...(hiding.size ? [whole[i]] : [])]), language);
    line.textContent = words.next(tokenizer.shown[order[0]], percent(shares[order[0]], language));
    note.textContent = hiding.size ? words.before : "";
    draw();
  };
  const draw = () => {
    if (!read) return;
    const rows = read.layers[layer.value][kind.value][head.value];
    const visible = read.layers[layer.value].pattern[head.value];
    const largest = Math.max(...rows.flatMap((row, i) => row.filter((_, j) => visible[i][j] > 0).map(Math.abs)));
    const digits = kind.value === "scores" ? 1 : 2;
    // Where the mask hides a token, its score is −∞ and its weight 0.
    table.replaceChildren(tokenTable(names, rows, (value, i, j) =>
      visible[i][j] === 0 ? [kind.value === "scores" ? "−∞" : "", "transparent"] : [number(value, digits, language), tint(value / largest)]));
  };
  const [layer, layers] = numbers(TEXTS[language].layer, network.config.layers, 0, draw);
  const [head, heads] = numbers(TEXTS[language].head, network.config.heads, 0, draw);

  input.addEventListener("input", write);
  kind.addEventListener("change", draw);
  examples.addEventListener("change", () => { input.value = examples.value; write(); });
  box.append(
    controls(element("label", { className: "whole" }, words.write, input), element("label", { className: "whole" }, words.examples, examples)),
    chips, line, list, note, controls(element("label", {}, `${words.table} `, kind), layers, heads), table);
  write();
}
