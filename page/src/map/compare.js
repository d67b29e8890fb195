// What stands left and right of the divider, and the choice of the right one.
import { h, iconButton } from "../shared/dom.js";
import { say, t } from "../shared/language.js";
import { keyOf, yearName, yearOf } from "./years.js";

/** A first second layer: another year of the same layer, or the run's own map, otherwise the next layer. */
export function usualSecond(run, state) {
  const layer = run.layers.find((one) => one.id === state.layer);
  if (layer.years) {
    const [first, last] = [layer.years[0], layer.years.at(-1)];
    const other = state.year !== first ? first : last !== first ? last : null;
    return { layer: layer.id, year: other };
  }
  const other = run.layers.find((one) => one.id !== layer.id && !one.hidden) ?? layer;
  return { layer: other.id, year: state.year };
}

/** Bar above the map while two layers are compared. */
export function compareBar(run, store) {
  const shown = run.layers.filter((one) => !one.hidden);
  const left = h("span", { className: "name" });
  const layer = h(
    "select",
    {
      "aria-label": t("compare.layer"),
      onchange: () => store.set({ second: { ...store.state.second, layer: layer.value } }),
    },
    shown.map((one) => h("option", { value: one.id }, say(one.title))),
  );
  const year = h(
    "select",
    {
      "aria-label": t("compare.year"),
      onchange: () => store.set({ second: { ...store.state.second, year: yearOf(year.value, run) } }),
    },
    [null, ...(run.years ?? [])].map((one) => h("option", { value: keyOf(one) }, yearName(one))),
  );
  const element = h(
    "section",
    { className: "compare card", "aria-label": t("tool.compare"), hidden: true },
    h("div", { className: "side" }, h("span", { className: "note" }, t("compare.left")), left),
    h("div", { className: "side" }, h("span", { className: "note" }, t("compare.right")), layer, year),
    iconButton("close", t("tool.close"), () => store.set({ second: null })),
  );
  return {
    element,
    update(state) {
      element.hidden = !state.second;
      if (!state.second) return;
      const one = run.layers.find((each) => each.id === state.layer);
      const other = run.layers.find((each) => each.id === state.second.layer);
      left.textContent = one.years ? `${say(one.title)}, ${yearName(state.year)}` : say(one.title);
      layer.value = state.second.layer;
      year.hidden = !other.years;
      year.value = keyOf(state.second.year);
    },
  };
}
