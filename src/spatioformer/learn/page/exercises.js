"use strict";
/* Exercises: learn/exercises.py checks answers by the same rules. */

const EXERCISE = {
  es: { right: "Correcto.", wrong: "No. Pista:", none: "Escriba un número, como 0,5.", choose: "Elija una respuesta." },
  en: { right: "Right.", wrong: "No. Hint:", none: "Write a number, such as 0.5.", choose: "Choose an answer." },
};

/* Numbers that a text may mean; "1,500" is 1.5 in Spanish and 1500 in English. */
function readings(text) {
  const plain = text.replace(/[\s%]/g, "").replaceAll("−", "-");
  if (!/^[-+]?(\d+([.,]\d+)*|[.,]\d+)$/.test(plain)) return [];
  const signs = plain.match(/[.,]/g) ?? [], last = signs.at(-1), found = [];
  const several = new Set(signs).size === 2 && signs.filter((sign) => sign === last).length === 1;
  if (signs.length === 1 || several) {
    const at = plain.lastIndexOf(last);
    found.push(Number(`${plain.slice(0, at).replace(/[.,]/g, "")}.${plain.slice(at + 1)}`));
  }
  if (signs.length === 0 || /^[-+]?\d{1,3}((\.\d{3})*|(,\d{3})*)$/.test(plain)) found.push(Number(plain.replace(/[.,]/g, "")));
  return found;
}

function answerable(exercise, language) {
  const words = EXERCISE[language];
  const line = exercise.querySelector("[role=status]"), solution = exercise.querySelector("details");
  const hint = exercise.querySelector("template").content;
  const { expected, tolerance } = exercise.dataset;
  exercise.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = event.target.querySelector("input:not([type=radio])"), chosen = event.target.querySelector("input:checked");
    const values = field ? readings(field.value) : chosen ? [Number(chosen.value)] : [];
    const right = values.some((value) => Math.abs(value - Number(expected)) <= Number(tolerance));
    exercise.classList.toggle("right", right);
    if (values.length === 0) line.textContent = field ? words.none : words.choose;
    else if (right) line.textContent = words.right;
    else line.replaceChildren(`${words.wrong} `, hint.cloneNode(true));
    if (right) solution.open = true;
  });
}
