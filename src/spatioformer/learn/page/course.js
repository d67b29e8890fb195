"use strict";
/* Start of a page: the language switch, the figures that a reader changes, the exercises. */

const root = document.documentElement;
const KEY = "spatioformer-language";

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

const KINDS = { softmax: temperature, hidden, attention, sentence, place };
for (const box of document.querySelectorAll(".widget")) {
  const data = JSON.parse(box.querySelector("script").textContent);
  const draw = KINDS[box.dataset.kind], words = box.closest("article").lang;
  if (box.dataset.model) whenNear(box, words, (model) => draw(box, data, words, model));
  else draw(box, data, words);
}
for (const part of document.querySelectorAll(".wide, .display, pre")) overflowing.observe(part);
for (const exercise of document.querySelectorAll(".exercise")) answerable(exercise, exercise.closest("article").lang);
for (const button of document.querySelectorAll("[data-choose]")) {
  button.addEventListener("click", () => {
    try { localStorage.setItem(KEY, button.dataset.choose); } catch { /* the choice lasts for this page */ }
    choose(button.dataset.choose);
  });
}
addEventListener("hashchange", toTerm);
const language = stored();
choose(language in TEXTS ? language : root.dataset.language);
