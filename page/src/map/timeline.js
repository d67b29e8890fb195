// The years: a slider with a play button, and the run's own map beside them.
import { h, icon } from "../shared/dom.js";
import { t } from "../shared/language.js";
import { yearName } from "./years.js";

const PACE = 1100; // milliseconds a year

/** Slider over `years`; `ready()` resolves when the year on the map is complete, so no year is skipped. */
export function timeline(years, store, ready) {
  let playing = false;
  let turn = 0; // a second play must not run beside a first that waits for its year
  const slider = h("input", {
    type: "range",
    min: 0,
    max: years.length - 1,
    step: 1,
    "aria-label": t("year.title"),
    oninput: () => store.set({ year: years[slider.value] }),
  });
  const shown = h("output", { className: "year" });
  const button = h("button", { type: "button", className: "icon", onclick: () => (playing ? stop() : play()) });
  let latest = years.at(-1); // where a second press leads back to
  const own = h(
    "button",
    { type: "button", className: "own", title: t("year.ownHow"), onclick: () => (stop(), store.set({ year: store.state.year === null ? latest : null })) },
    t("year.own"),
  );

  function face() {
    button.replaceChildren(icon(playing ? "pause" : "play"));
    button.setAttribute("aria-label", t(playing ? "year.pause" : "year.play"));
    button.title = button.getAttribute("aria-label");
  }

  function stop() {
    playing = false;
    face();
  }

  async function play() {
    const mine = ++turn;
    playing = true;
    face();
    while (playing && button.isConnected) {
      await Promise.all([ready(), new Promise((resolve) => setTimeout(resolve, PACE))]);
      if (!playing || mine !== turn) return;
      const next = (years.indexOf(store.state.year) + 1) % years.length;
      store.set({ year: years[next] });
    }
  }

  face();
  const marks = years.map((year, k) =>
    h("span", { className: k === 0 || k === years.length - 1 ? "end" : "" }, k === 0 || k === years.length - 1 ? String(year) : ""),
  );
  const element = h(
    "section",
    { className: "timeline card", "aria-label": t("year.title") },
    button,
    shown,
    h("div", { className: "track" }, slider, h("div", { className: "marks", "aria-hidden": "true" }, marks)),
    own,
  );
  return {
    element,
    update(state) {
      own.setAttribute("aria-pressed", String(state.year === null));
      element.classList.toggle("at-own", state.year === null);
      slider.setAttribute("aria-valuetext", yearName(state.year));
      shown.textContent = state.year === null ? "–" : String(state.year);
      if (state.year === null) return;
      latest = state.year;
      slider.value = years.indexOf(state.year);
    },
  };
}
