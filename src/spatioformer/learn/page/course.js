"use strict";
/* Language switch, and the three kinds of table that a reader changes. */

const root = document.documentElement;
const KEY = "spatioformer-language";
const TEXTS = {
  es: { temperature: "Temperatura", layer: "Capa", head: "Cabeza", without: "Quite una palabra:", decimal: "es" },
  en: { temperature: "Temperature", layer: "Layer", head: "Head", without: "Take a word out:", decimal: "en" },
};

function stored() {
  try { return localStorage.getItem(KEY); } catch { return null; }
}

function choose(language) {
  root.lang = root.dataset.language = language;
  const article = document.querySelector(`article[lang="${language}"]`);
  document.title = article.dataset.title;
  for (const button of document.querySelectorAll("[data-choose]")) {
    button.setAttribute("aria-pressed", String(button.dataset.choose === language));
  }
  toTerm();
}

/* A link glossary.html#TERM names a term; each language has its own list. */
function toTerm() {
  const name = decodeURIComponent(location.hash.slice(1));
  const bare = name.replace(/-(es|en)$/, "");
  const term = bare && document.getElementById(`${bare}-${root.dataset.language}`);
  if (term && term.id !== name) location.replace(`#${term.id}`);
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function percent(share, language) {
  return share.toLocaleString(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

function bars(into, rows, language) {
  const largest = Math.max(...rows.map(([, share]) => share));
  into.replaceChildren();
  for (const [name, share] of rows) {
    const bar = element("span", { className: "bar" });
    bar.style.width = `${(100 * share) / largest}%`;
    into.append(element("span", { textContent: name }), element("span", {}, bar),
      element("span", { className: "share", textContent: percent(share, language) }));
  }
}

/* data: tokens and logits of the whole vocabulary, count of rows. */
function softmax(box, data, language) {
  const name = element("label", { textContent: TEXTS[language].temperature });
  const slider = element("input", { type: "range", min: "0.1", max: "3", step: "0.1", value: "1" });
  name.append(" ", slider);
  const value = element("output");
  const list = element("div", { className: "bars" });
  const highest = Math.max(...data.logits);
  const draw = () => {
    const temperature = Number(slider.value);
    const weights = data.logits.map((logit) => Math.exp((logit - highest) / temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const order = [...weights.keys()].sort((a, b) => weights[b] - weights[a]).slice(0, data.count);
    value.textContent = temperature.toLocaleString(language, { minimumFractionDigits: 1 });
    bars(list, order.map((i) => [data.tokens[i], weights[i] / total]), language);
  };
  slider.addEventListener("input", draw);
  box.append(element("div", { className: "controls" }, name, value), list);
  draw();
}

/* data: words of a sentence; next: [token, share] rows of the whole sentence, and without word i. */
function hidden(box, data, language) {
  const controls = element("div", { className: "controls" }, TEXTS[language].without);
  const list = element("div", { className: "bars" });
  const buttons = data.words.map((word, i) => {
    const button = element("button", { type: "button", textContent: word });
    button.addEventListener("click", () => draw(button.getAttribute("aria-pressed") === "true" ? null : i));
    return button;
  });
  const draw = (without) => {
    buttons.forEach((button, i) => {
      button.setAttribute("aria-pressed", String(i === without));
      button.classList.toggle("hidden-word", i === without);
    });
    bars(list, without === null ? data.whole : data.without[without], language);
  };
  controls.append(...buttons);
  box.append(controls, list);
  draw(null);
}

/* data: tokens; pattern[layer][head][query][key] in hundredths; layer and head to begin with. */
function attention(box, data, language) {
  const pick = (label, count, first) => {
    const select = element("select");
    for (let i = 0; i < count; i++) select.append(element("option", { value: i, textContent: i + 1 }));
    select.value = first;
    select.addEventListener("change", draw);
    controls.append(element("label", {}, `${TEXTS[language][label]} `, select));
    return select;
  };
  const controls = element("div", { className: "controls" });
  const wide = element("div", { className: "wide" });
  const draw = () => {
    const pattern = data.pattern[layer.value][head.value];
    const table = element("table");
    table.append(element("tr", {}, element("th"), ...data.tokens.map((token) => element("th", { scope: "col", textContent: token }))));
    pattern.forEach((row, i) => {
      const line = element("tr", {}, element("th", { scope: "row", textContent: data.tokens[i] }));
      row.forEach((hundredths) => {
        const cell = element("td", { className: "cell", textContent: hundredths ? (hundredths / 100).toLocaleString(language, { minimumFractionDigits: 2 }) : "" });
        cell.style.background = `color-mix(in srgb, var(--accent) ${0.6 * hundredths}%, transparent)`;
        line.append(cell);
      });
      table.append(line);
    });
    wide.replaceChildren(table);
  };
  const layer = pick("layer", data.pattern.length, data.layer);
  const head = pick("head", data.pattern[0].length, data.head);
  box.append(controls, wide);
  draw();
}

const KINDS = { softmax, hidden, attention };
for (const box of document.querySelectorAll(".widget")) {
  const data = JSON.parse(box.querySelector("script").textContent);
  KINDS[box.dataset.kind](box, data, box.closest("article").lang);
}
for (const button of document.querySelectorAll("[data-choose]")) {
  button.addEventListener("click", () => {
    try { localStorage.setItem(KEY, button.dataset.choose); } catch { /* the choice lasts for this page */ }
    choose(button.dataset.choose);
  });
}
addEventListener("hashchange", toTerm);
const language = stored();
choose(language in TEXTS ? language : root.dataset.language);
