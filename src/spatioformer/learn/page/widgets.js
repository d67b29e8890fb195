"use strict";
/* Parts of the figures that a reader changes, and those that need no model. */

const TEXTS = {
  es: {
    temperature: "Temperatura", layer: "Capa", head: "Cabeza", without: "Quite una palabra:",
    first: (token, share) => `Primero: ${token}, ${share}`,
    loading: "Se lee el modelo…", absent: (file) => `No se puede leer ${file}. Copie la carpeta entera del curso.`,
  },
  en: {
    temperature: "Temperature", layer: "Layer", head: "Head", without: "Take a word out:",
    first: (token, share) => `First: ${token}, ${share}`,
    loading: "Reading the model…", absent: (file) => `${file} cannot be read. Copy the whole folder of the course.`,
  },
};
const models = {}; // by name; each file models/NAME.js adds one

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function controls(...children) {
  return element("div", { className: "controls" }, ...children);
}

/* What may be wider than the screen is scrolled; then the keyboard must reach it. */
const overflowing = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});

function wide() {
  const made = element("div", { className: "wide" });
  overflowing.observe(made);
  return made;
}

/* A line that screen readers speak when it changes. */
function status() {
  const line = element("p", { className: "result" });
  line.setAttribute("role", "status");
  return line;
}

function number(value, digits, language) {
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
}

function percent(share, language) {
  return share.toLocaleString(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

/* The `count` largest shares: [token, share] rows. */
function likeliest(tokens, shares, count) {
  const order = [...shares.keys()].sort((a, b) => shares[b] - shares[a]).slice(0, count);
  return order.map((i) => [tokens[i], shares[i]]);
}

/* rows: [name, share], or [name, share, share before]. */
function bars(into, rows, language) {
  const largest = Math.max(...rows.flatMap(([, ...shares]) => shares));
  into.replaceChildren();
  const bar = (share, name) => {
    const made = element("span", { className: `bar ${name}` });
    made.style.width = `${(100 * share) / largest}%`;
    return made;
  };
  for (const [name, share, before] of rows) {
    const both = element("span", {}, bar(share, ""));
    if (before !== undefined) both.append(bar(before, "before"));
    into.append(element("span", { textContent: name }), both,
      element("span", { className: "share", textContent: percent(share, language) }));
  }
}

/* A list of `count` numbers from 1; onchange is told of a choice. */
function numbers(label, count, first, onchange) {
  const select = element("select");
  for (let i = 0; i < count; i++) select.append(element("option", { value: i, textContent: i + 1 }));
  select.value = first;
  select.addEventListener("change", onchange);
  return [select, element("label", {}, `${label} `, select)];
}

/* A table with a row and a column for each token; shown(value) gives a cell's text and colour. */
function tokenTable(tokens, rows, shown) {
  const table = element("table");
  table.append(element("tr", {}, element("td"), ...tokens.map((token) => element("th", { scope: "col", textContent: token }))));
  rows.forEach((row, i) => {
    const line = element("tr", {}, element("th", { scope: "row", textContent: tokens[i] }));
    row.forEach((value, j) => {
      const [text, colour] = shown(value, i, j);
      const cell = element("td", { className: "cell", textContent: text });
      cell.style.background = colour;
      line.append(cell);
    });
    table.append(line);
  });
  return table;
}

/* Paper where share is 0, the accent where it is 1; negative shares have the other colour. Behind a
   number the colour stays pale, so that the number can be read. */
function tint(share, strongest = 60) {
  const colour = share < 0 ? "var(--series)" : "var(--accent)";
  return `color-mix(in srgb, ${colour} ${strongest * Math.min(Math.abs(share), 1)}%, transparent)`;
}

/* Read the model of a box when the reader comes near, then draw. */
function whenNear(box, language, draw) {
  const name = box.dataset.model, file = `models/${name}.js`;
  const line = status();
  line.textContent = TEXTS[language].loading;
  box.append(line);
  const ready = () => {
    line.remove();
    box.classList.add("ready");
    draw(models[name]);
  };
  const observer = new IntersectionObserver(([entry]) => {
    if (!entry.isIntersecting) return;
    observer.disconnect();
    if (models[name]) return ready();
    const script = element("script", { src: file, onload: ready });
    script.addEventListener("error", () => { line.textContent = TEXTS[language].absent(file); });
    document.head.append(script);
  }, { rootMargin: "600px" });
  observer.observe(box);
}

/* data: tokens and logits of the whole vocabulary, count of rows. */
function temperature(box, data, language) {
  const slider = element("input", { type: "range", min: "0.1", max: "3", step: "0.1", value: "1" });
  const value = element("output"), list = element("div", { className: "bars" }), line = status();
  const draw = () => {
    const chosen = Number(slider.value);
    const rows = likeliest(data.tokens, softmax(data.logits, chosen), data.count);
    value.textContent = number(chosen, 1, language);
    bars(list, rows, language);
    line.textContent = TEXTS[language].first(rows[0][0], percent(rows[0][1], language));
  };
  slider.addEventListener("input", draw);
  box.append(controls(element("label", {}, `${TEXTS[language].temperature} `, slider), value), line, list);
  draw();
}

/* data: words of a sentence; next: [token, share] rows of the whole sentence, and without word i. */
function hidden(box, data, language) {
  const list = element("div", { className: "bars" }), line = status();
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
    const rows = without === null ? data.whole : data.without[without];
    bars(list, rows, language);
    line.textContent = TEXTS[language].first(rows[0][0], percent(rows[0][1], language));
  };
  box.append(controls(TEXTS[language].without, ...buttons), line, list);
  draw(null);
}

/* data: tokens; pattern[layer][head][query][key] in hundredths; layer and head to begin with. */
function attention(box, data, language) {
  const table = wide();
  const draw = () => {
    const pattern = data.pattern[layer.value][head.value];
    table.replaceChildren(tokenTable(data.tokens, pattern, (hundredths) =>
      [hundredths ? number(hundredths / 100, 2, language) : "", tint(hundredths / 100)]));
  };
  const [layer, layers] = numbers(TEXTS[language].layer, data.pattern.length, data.layer, draw);
  const [head, heads] = numbers(TEXTS[language].head, data.pattern[0].length, data.head, draw);
  box.append(controls(layers, heads), table);
  draw();
}
