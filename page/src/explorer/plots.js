// Plots in two dimensions by the model's features, coloured by richness, residual, region or programme.
import { read } from "../shared/data.js";
import { h } from "../shared/dom.js";
import { amount, number, percent, say, signed, t } from "../shared/language.js";
import { css, named, signs } from "./colours.js";
import { choice, later, readout, section } from "./frame.js";
import { legend } from "./geo.js";
import { scatter } from "./scatter.js";
import { unpack } from "./unpack.js";

/** Twelve colours that can be told apart on white and on black. */
const GROUPS = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#999933", "#882255", "#44aa99", "#cc6633", "#7777cc", "#888888"];

/** @param {(row: number) => void} choosePlot */
export function plotsSection(facts, state, choosePlot) {
  const body = h("div", {});
  state.method ??= "pca";
  state.colour ??= "observed";

  function show(method) {
    state.method = method;
    body.replaceChildren(later(read(`api/explorer/embedding/${method}.json`), build));
  }

  function build(answer) {
    const [observed, predicted] = [unpack(answer.observed).data, unpack(answer.predicted).data];
    const residual = observed.map((value, i) => value - predicted[i]);
    const line = readout(t("plots.hover"));
    const unit = say(facts.unit);
    const key = h("div", {});
    const view = scatter({ xy: unpack(answer.xy).data, label: t("plots.map"), point, choose: (i) => choosePlot(answer.rows[i]) });

    function point(i) {
      const known = Number.isFinite(predicted[i]);
      const values = { id: answer.id[i], observed: amount(observed[i]), predicted: known ? amount(predicted[i]) : "", residual: known ? signed(residual[i], 1) : "", region: answer.region.names[answer.region.of[i]], unit };
      line.say(t(known ? "plots.point" : "plots.pointOnly", values));
    }

    function paint(by) {
      state.colour = by;
      const groups = { region: answer.region, programme: answer.programme }[by];
      if (groups) {
        view.paint((i) => GROUPS[groups.of[i] % GROUPS.length]);
        return key.replaceChildren(groupKey(groups, by));
      }
      const values = { observed, predicted, residual }[by];
      const sorted = Array.from(values).filter(Number.isFinite).sort((a, b) => a - b);
      const quantile = (share) => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
      let [low, high] = [quantile(0.01), quantile(0.99)];
      if (by === "residual") [low, high] = [-Math.max(-low, high), Math.max(-low, high)];
      const scale = named("viridis");
      const colours = by === "residual" ? signs(high) : (value) => scale((value - low) / (high - low || 1));
      view.paint((i) => (Number.isFinite(values[i]) ? css(colours(values[i])) : "#88888855"));
      return key.replaceChildren(legend(colours, low, high, [amount(low, high), unit, amount(high)]));
    }

    const known = predicted.some(Number.isFinite);
    const options = ["observed", known && "predicted", known && "residual", "region", answer.programme && "programme"].filter(Boolean);
    if (!options.includes(state.colour)) state.colour = "observed";
    paint(state.colour);
    const about = answer.shares.length
      ? t("plots.pca", { first: percent(answer.shares[0]), second: percent(answer.shares[1]) })
      : t("plots.tsne");
    return [
      h("p", { className: "note" }, `${t(facts.table && answer.basis === "imagery" ? "plots.covariates" : `plots.${answer.basis}`, { count: answer.features })} ${about}`),
      answer.rows.length < answer.of && h("p", { className: "note" }, t("plots.some", { count: number(answer.rows.length), of: number(answer.of) })),
      choice(t("plots.colour"), options.map((by) => [by, t(`plots.by.${by}`)]), state.colour, paint),
      h("div", { className: "plane" }, view.element, h("div", {}, key, line.element)),
    ];
  }

  show(state.method);
  return section(
    "plots",
    t("plots.title"),
    t(facts.table ? "plots.leadTable" : "plots.lead"),
    choice(t("plots.method"), [["pca", t("plots.method.pca")], ["tsne", t("plots.method.tsne")]], state.method, show),
    body,
  );
}

function groupKey(groups, by) {
  return h(
    "ul",
    { className: "groups" },
    groups.names.map((name, i) => {
      const dot = h("i", { "aria-hidden": "true" });
      dot.style.background = GROUPS[i % GROUPS.length];
      return h("li", {}, dot, by === "region" ? t("plots.near", { name }) : name);
    }),
  );
}

