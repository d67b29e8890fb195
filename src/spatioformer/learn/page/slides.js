"use strict";
/* Keys, notes and sizes of slides; course.js has the language and the figures that a reader changes. */
const slides = (() => {

const WIDTH = 1280, HEIGHT = 720, SMALLEST = 0.4, LARGEST = 1.4;
const stage = document.getElementById("main");
const notes = document.getElementById("notes");
const notesButton = document.getElementById("toggle-notes");
let place = Math.max(0, (parseInt(location.hash.slice(1), 10) || 1) - 1);

/* The slides in the language of the page. */
function deck() {
  return [...document.querySelectorAll(`article[lang="${document.documentElement.dataset.language}"] .slide`)];
}

/* Tables and widgets grow or shrink to the frame; text and pictures only shrink. */
function fit(slide) {
  const frame = slide.querySelector(".frame"), content = slide.querySelector(".content");
  content.style.zoom = 1;
  const grows = slide.classList.contains("figure") && !content.querySelector("img");
  const share = Math.min(frame.clientWidth / content.scrollWidth, frame.clientHeight / content.scrollHeight);
  const zoom = Math.min(grows ? LARGEST : 1, Math.max(SMALLEST, share * 0.98));
  content.style.zoom = zoom;
}

function show(to) {
  const all = deck();
  place = Math.min(Math.max(to, 0), all.length - 1);
  for (const slide of document.querySelectorAll(".slide.current")) slide.classList.remove("current");
  all[place].classList.add("current");
  document.getElementById("place").textContent = `${place + 1} / ${all.length}`;
  notes.innerHTML = all[place].querySelector(".notes").innerHTML;
  history.replaceState(null, "", `#${place + 1}`);
}

/* Forward: first the answers of the slide, then the next one. */
function step(by) {
  const hidden = deck()[place].querySelector(".answer:not(.revealed)");
  if (by > 0 && hidden) hidden.classList.add("revealed");
  else show(place + by);
}

function scale() {
  const height = innerHeight * (notes.hidden ? 1 : 0.62);
  const share = Math.min(innerWidth / WIDTH, height / HEIGHT);
  stage.style.transform = `translate(${(innerWidth - WIDTH * share) / 2}px, ${(height - HEIGHT * share) / 2}px) scale(${share})`;
}

function toggleNotes() {
  notes.hidden = !notes.hidden;
  notesButton.setAttribute("aria-pressed", String(!notes.hidden));
  scale();
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1 };
addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea, button, summary, a") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in STEPS) step(STEPS[event.key]);
  else if (event.key === "Home") show(0);
  else if (event.key === "End") show(Infinity);
  else if (event.key.toLowerCase() === "n") toggleNotes();
  else return;
  event.preventDefault();
});
for (const button of document.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => step(Number(button.dataset.step)));
}
for (const button of document.querySelectorAll("[data-choose]")) {
  button.addEventListener("click", () => { deck().forEach(fit); show(place); });
}
notesButton.addEventListener("click", toggleNotes);
/* A figure that runs a model is complete once the model is read. */
const growing = new ResizeObserver((entries) => { for (const { target } of entries) fit(target.closest(".slide")); });
for (const widget of document.querySelectorAll(".slide .widget")) growing.observe(widget);
addEventListener("resize", scale);
addEventListener("load", () => { deck().forEach(fit); show(place); scale(); });
return { deck, show };
})();
