// The panel: title and verdict, choice of the layer, display, legend.
import { h, icon } from "../shared/dom.js";
import { say, t } from "../shared/language.js";
import { meanings } from "../shared/terms.js";
import { scaleOf } from "./scales.js";
import { brief, verdict } from "./verdict.js";

const GROUPS = ["richness", "uncertainty", "applicability", "change", "imagery"];

const ENDS = ["lower", "upper"];

/** Terms of the glossary that a group of layers needs. */
const TERMS = {
  richness: ["richness", "raster_mask"],
  uncertainty: ["interval", "coverage"],
  applicability: ["applicability", "dissimilarity"],
  change: ["trend"],
  imagery: ["band", "pixel"],
};

/** Small band with the colours of a layer. */
function swatch(layer) {
  const canvas = h("canvas", { className: "swatch", width: 32, height: 12, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  if (layer.kind === "rgb") {
    ["#7a5c3e", "#8d9a62", "#3f6b4a", "#27527a"].forEach((colour, k) => {
      context.fillStyle = colour;
      context.fillRect(k * 8, 0, 8, 12);
    });
    return canvas;
  }
  const colours = layer.kind === "classes" ? layer.classes.map((one) => one.colour) : scaleOf(layer.colours);
  for (let x = 0; x < 32; x++) {
    context.fillStyle = colours[Math.floor((x / 32) * colours.length)];
    context.fillRect(x, 0, 1, 12);
  }
  return canvas;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function check(label, name, store, updates) {
  const box = h("input", { type: "checkbox", onchange: () => store.set({ [name]: box.checked }) });
  updates.push((state) => (box.checked = state[name]));
  return h("label", { className: "check" }, box, h("span", {}, label));
}

function layers(run, store, updates) {
  const groups = GROUPS.map((group) => [group, run.layers.filter((one) => one.group === group && !one.hidden)]);
  return groups
    .filter(([, members]) => members.length)
    .map(([group, members]) =>
      h(
        "fieldset",
        { className: "group" },
        h("legend", {}, t(`group.${group}`)),
        meanings(...TERMS[group]),
        members.filter((one) => !ENDS.includes(one.id)).map((layer) => choice(layer, store, updates)),
        ends(members.filter((one) => ENDS.includes(one.id)), store, updates),
      ),
    );
}

function choice(layer, store, updates) {
  const radio = h("input", { type: "radio", name: "layer", value: layer.id, onchange: () => store.set({ layer: layer.id }) });
  updates.push((state) => (radio.checked = state.layer === layer.id));
  return h("label", { className: "layer" }, radio, h("span", {}, say(layer.title)), swatch(layer));
}

/** The two ends of the interval, folded, since its width says most. */
function ends(members, store, updates) {
  if (!members.length) return null;
  const box = h("details", {}, h("summary", {}, t("layers.ends")), members.map((layer) => choice(layer, store, updates)));
  updates.push((state) => members.some((one) => one.id === state.layer) && (box.open = true));
  return box;
}

function opacity(store, updates) {
  const slider = h("input", {
    type: "range",
    min: 0,
    max: 100,
    step: 5,
    "aria-label": t("show.opacity"),
    oninput: () => store.set({ opacity: slider.value / 100 }),
  });
  const shown = h("output", {});
  updates.push((state) => {
    slider.value = Math.round(100 * state.opacity);
    shown.textContent = `${slider.value} %`;
  });
  return h("div", { className: "row" }, h("span", { className: "name" }, t("show.opacity")), slider, shown);
}

function plots(store, updates) {
  const buttons = ["none", "observed", "predicted", "residual"].map((field) => {
    const button = h("button", { type: "button", onclick: () => store.set({ plots: field }) }, t(`plots.${field}`));
    updates.push((state) => button.setAttribute("aria-pressed", String(state.plots === field)));
    return button;
  });
  return h(
    "div",
    { className: "row tall", role: "group", "aria-label": t("show.plots") },
    h("span", { className: "name" }, t("show.plots")),
    h("div", { className: "segments" }, buttons),
  );
}

/** The explorer keeps language and theme. */
function toExplorer({ language, theme }) {
  return new URLSearchParams(theme ? { lang: language, theme } : { lang: language });
}

/** Build the panel; the result has `element`, and `update(state)` that brings its controls up to date. */
export function panel(run, store, legend, { disk }) {
  const updates = [];
  const { links = {} } = run;
  const explorer = run.explorer && h("a", {}, t("page.explorer"));
  if (explorer) updates.push((state) => explorer.setAttribute("href", `explorer.html#${toExplorer(state)}`));
  const toggle = h(
    "button",
    { type: "button", className: "handle", "aria-expanded": "false", "aria-controls": "settings" },
    icon("up"),
  );
  const element = h(
    "aside",
    { className: "panel card", "aria-label": t("page.panel") },
    h(
      "header",
      {},
      h("div", { className: "titles" }, h("p", { className: "kicker" }, t("page.kicker"), run.name && ` · ${run.name}`), h("h1", {}, run.title ?? run.name), brief(run)),
      toggle,
    ),
    h(
      "div",
      { id: "settings", className: "settings", tabindex: "-1" },
      verdict(run),
      disk && h("p", { className: "notice" }, t("page.disk")),
      run.virtual && h("p", { className: "notice virtual" }, capital(say(run.virtual))),
      h("h2", { className: "hidden-text" }, t("layers.title")),
      layers(run, store, updates),
      h("h2", { className: "section" }, t("show.title")),
      !disk && opacity(store, updates),
      run.plots && plots(store, updates),
      !disk && check(t("show.hatch"), "hatch", store, updates),
      check(t("show.names"), "names", store, updates),
      check(t("show.graticule"), "graticule", store, updates),
      h(
        "footer",
        { className: "note" },
        (run.notes ?? []).map((note) => h("p", {}, say(note))),
        run.model?.title && h("p", {}, t("page.made", { model: run.model.title })),
        h(
          "p",
          { className: "links" },
          links.report && h("a", { href: links.report }, t("page.report")),
          explorer,
          h("a", { href: "LICENSES.txt" }, t("page.licences")),
        ),
      ),
    ),
    legend,
  );
  const open = (wanted) => {
    element.classList.toggle("open", wanted);
    toggle.setAttribute("aria-expanded", String(wanted));
    toggle.setAttribute("aria-label", t(wanted ? "page.less" : "page.more"));
    toggle.replaceChildren(icon(wanted ? "down" : "up"));
  };
  toggle.addEventListener("click", () => open(!element.classList.contains("open")));
  open(false);
  return { element, update: (state) => updates.forEach((one) => one(state)) };
}
