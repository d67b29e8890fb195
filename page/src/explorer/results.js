// Training curves, scores, importance and response curves.
import { h } from "../shared/dom.js";
import { amount, decimals, number, say, signed, t } from "../shared/language.js";
import { bars } from "./bars.js";
import { choice, modelName, section } from "./frame.js";
import { key, lines } from "./lines.js";

const NAMES = {
  train_rmse: "training.train",
  validation_rmse: "training.validation",
  train_loss: "training.trainLoss",
  training_loss: "training.trainLoss",
  validation_loss: "training.validationLoss",
};

/** Losses of training and validation in one chart, other columns in one each. */
export function trainingSection(curve) {
  if (!curve) return section("training", t("training.title"), t("training.none"));
  const entries = Object.entries(curve.lines);
  const pairs = entries.filter(([name]) => name in NAMES).map(([name, values]) => ({ name: t(NAMES[name]), values }));
  const across = t(curve.x === "step" ? "training.step" : "training.epoch");
  const chart = (drawn, label) => lines({ x: curve.steps, lines: drawn, label, across, whole: true, up: drawn.length > 1 ? "" : label });
  return section(
    "training",
    t("training.title"),
    "",
    h(
      "div",
      { className: "charts" },
      pairs.length > 0 && chart(pairs, pairs.map((one) => one.name).join(", ")),
      entries.filter(([name]) => !(name in NAMES)).map(([name, values]) => chart([{ name, values }], name.replaceAll("_", " "))),
    ),
  );
}

/** r2 or RMSE of all models on each split. */
export function scoresSection(facts, state) {
  const { scores } = facts;
  if (!scores) return section("scores", t("scores.title"), t("scores.none"));
  const splits = [...new Set(scores.rows.map((row) => row.split))];
  state.split = splits.includes(state.split) ? state.split : splits.includes(scores.split) ? scores.split : splits[0];
  state.score ??= "r2";
  const body = h("div", {});

  function draw() {
    const rows = scores.rows.filter((row) => row.split === state.split && Number.isFinite(row[state.score]));
    const better = state.score === "r2" ? -1 : 1;
    rows.sort((a, b) => better * (a[state.score] - b[state.score]));
    const text = (value) => (state.score === "r2" ? number(value, 3) : amount(value));
    const name = (row) => `${row.model === "auto" ? t("scores.auto") : modelName({ title: row.title, name: row.model })}${row.model === facts.model.name ? ` · ${t(facts.map ? "scores.mapped" : "scores.chosen")}` : ""}`;
    const list = rows.map((row) => ({ name: name(row), value: row[state.score], text: text(row[state.score]), strong: row.model === facts.model.name }));
    if (!list.length) return void body.replaceChildren(h("p", { className: "note" }, t("scores.unknown")));
    body.replaceChildren(bars(list, { label: t("scores.title"), most: state.score === "r2" ? 1 : undefined }));
  }

  draw();
  const splitName = (split) => (split === scores.split ? `${split} (${t("scores.like")})` : split);
  const set = (name) => (value) => ((state[name] = value), draw());
  return section(
    "scores",
    t("scores.title"),
    t("scores.lead"),
    h(
      "div",
      { className: "choices" },
      choice(t("scores.split"), splits.map((split) => [split, splitName(split)]), state.split, set("split")),
      choice(t("scores.score"), ["r2", "rmse", "mae"].map((one) => [one, t(`scores.${one}`)]), state.score, set("score")),
    ),
    body,
  );
}

/** Importance of the inputs, and the response to each. */
export function responseSection(facts) {
  const unit = say(facts.unit);
  const curves = Object.entries(facts.explained?.curves ?? {}).filter(([, curve]) => curve.value.length > 1);
  const places = Math.max(2, decimals(Math.max(0, ...facts.importance.map((row) => Math.abs(row.rise)))) + 1);
  const importance = facts.importance.map((row) => ({ name: inputName(row.group, facts), value: row.rise, spread: row.sd, text: signed(row.rise, places) }));
  if (!curves.length && !importance.length) return section("response", t("response.title"), t("response.none"));
  const charts = curves.map(([name, curve]) =>
    lines({
      x: curve.value,
      lines: [
        { name: t("response.local"), values: curve.local },
        { name: t("response.partial"), values: curve.partial },
      ],
      label: t("response.chart", { name }),
      across: name,
      zero: true,
      keyed: false,
      width: 320,
      height: 200,
    }),
  );
  return section(
    "response",
    t("response.title"),
    "",
    importance.length > 0 && [h("h3", {}, t("importance.title")), h("p", { className: "note" }, t("importance.how", { unit })), bars(importance, { label: t("importance.title") })],
    charts.length > 0 && [h("h3", {}, t("response.curves")), h("p", { className: "note" }, t("response.how", { unit })), key([t("response.local"), t("response.partial")]), h("div", { className: "charts small" }, charts)],
  );
}

function inputName(group, { table }) {
  if (group === "imagery") return t(table ? "input.covariates" : "input.imagery");
  return group === "location" ? t("input.location") : group;
}
