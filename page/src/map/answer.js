// The answer to a click: the value with its interval in words, whether the model applies, and why it says so.
import { h, icon, iconButton } from "../shared/dom.js";
import { amount, decimals, number, percent, place, say, t } from "../shared/language.js";
import { meanings, titled } from "../shared/terms.js";
import { bars, interval, series, trendSentence } from "./chart.js";
import { chip } from "./chip.js";
import { decision, refused as isRefused } from "./verdict.js";

/** "41 species, likely 22 to 60": texts of an answer, with the decimals of its value. */
export function words(answer, run) {
  const places = decimals(answer.value);
  return {
    value: t("answer.value", { value: number(answer.value, places), unit: say(run.target.unit) }),
    likely: Number.isFinite(answer.lower)
      ? t("answer.likely", { lower: number(answer.lower, places), upper: number(answer.upper, places) })
      : "",
    applies: answer.applies === null || answer.applies === undefined ? "" : t(answer.applies ? "answer.applies" : "answer.appliesNot"),
    why: say(answer.why),
  };
}

/** The answer as one sentence for a screen reader. */
export function spoken(answer, run) {
  if (!answer.inside) return [t("answer.outside"), say(answer.why)].join(" ");
  const { value, likely, applies, why } = words(answer, run);
  return [`${[value, likely].filter(Boolean).join(", ")}.`, isRefused(run) && decision(run), applies, why].filter(Boolean).join(" ");
}

function table(title, rows, alike, show) {
  if (!rows?.length) return null;
  const names = ["plot", "km", "observed", "predicted"];
  return h(
    "section",
    {},
    titled(h("h3", {}, t(title)), ...(alike ? ["dissimilarity"] : ["held_out"])),
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, t(`table.${name}`))))),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            { onmouseenter: () => show(row, false), onmouseleave: () => show(null, false) },
            h("td", {}, h("button", { type: "button", className: "text", "aria-label": t("table.show", { id: row.id }), onclick: () => show(row, true) }, String(row.id))),
            h("td", {}, amount(row.km)),
            h("td", {}, Number.isFinite(row.observed) ? amount(row.observed) : "–"),
            h("td", {}, Number.isFinite(row.predicted) ? amount(row.predicted) : "–"),
          ),
        ),
      ),
    ),
  );
}

function plotFacts(plot) {
  if (!plot) return null;
  const line = t("answer.plotLine", {
    observed: amount(plot.observed),
    predicted: Number.isFinite(plot.predicted) ? amount(plot.predicted) : "–",
  });
  const facts = [line, plot.year, plot.area ? t("answer.plotArea", { area: amount(plot.area) }) : ""].filter(Boolean).join(", ");
  return h("p", { className: "plot-facts" }, h("strong", {}, t("answer.plot", { id: plot.id })), ` ${facts}`);
}

function location(explained, answer) {
  const places = explained.location?.places;
  const others = (places ?? []).filter((one) => one.name).sort((one, other) => other.value - one.value);
  if (!others.length) return null;
  const here = places.find((one) => !one.name)?.value ?? answer.value;
  const rows = [{ name: t("location.here"), value: here, here: true }, ...others];
  return h("section", {}, h("h3", {}, t("location.title")), bars(rows));
}

/** Card of the answer; `actions` are {close, choose(year), show(plot, go)}. */
export function card(run, actions) {
  const body = h("div", { className: "body" });
  const heading = h("p", { className: "note" });
  const close = iconButton("close", t("tool.close"), actions.close);
  const element = h(
    "section",
    { className: "answer card", "aria-label": t("answer.title"), hidden: true },
    h("header", {}, heading, close),
    body,
  );
  const slot = h("div", {});

  function asking(lon, lat) {
    element.hidden = false;
    heading.textContent = place(lon, lat);
    slot.replaceChildren();
    body.replaceChildren(h("p", { className: "note asking" }, t("answer.asking")));
  }

  function refused(sentence) {
    body.replaceChildren(h("p", { className: "notice" }, sentence));
  }

  function show(answer, { range, year, plot }) {
    element.hidden = false;
    heading.textContent = place(answer.lon, answer.lat);
    slot.replaceChildren(); // what explained another answer
    body.scrollTop = 0;
    if (!answer.inside) {
      body.replaceChildren(h("h2", {}, t("answer.outside")), h("p", {}, say(answer.why)), plotFacts(plot) ?? "");
      return;
    }
    const { value, likely, applies, why } = words(answer, run);
    const unit = say(run.target.unit);
    const limit = Number.isFinite(answer.dissimilarity) && Number.isFinite(answer.threshold)
      ? t("answer.dissimilarity", { value: amount(answer.dissimilarity), limit: amount(answer.threshold) })
      : "";
    const parts = [
      h("h2", {}, value, likely && h("span", { className: "likely" }, likely)),
      likely && titled(h("p", { className: "note" }, t("answer.level", { level: percent(run.level) })), "interval"),
      interval({ nearest: [], ...answer }, range),
      isRefused(run) && h("p", { className: "notice refused" }, decision(run)),
      applies &&
        h(
          "div",
          { className: `applies ${answer.applies ? "yes" : "no"}`, title: limit },
          icon(answer.applies ? "check" : "warning"),
          h("span", {}, h("strong", {}, applies), " ", why),
          meanings("applicability", "dissimilarity"),
        ),
      !applies && why && h("p", { className: "notice unmeasured" }, why),
      plotFacts(plot),
      answer.series?.length > 1 &&
        h(
          "section",
          {},
          titled(h("h3", {}, t("series.title")), "trend"),
          series(answer.series, answer.trend, year, unit, actions.choose),
          answer.trend && h("p", { className: "note" }, trendSentence(answer.trend, unit)),
        ),
      slot,
      table("nearest.title", answer.nearest, false, actions.show),
      table("alike.title", answer.alike, true, actions.show),
    ];
    body.replaceChildren(...parts.flat().filter(Boolean));
  }

  /** What the model looked at, which comes after the value. */
  function explain(explained, answer) {
    if (explained.refused) return void slot.replaceChildren(h("section", {}, h("p", { className: "note" }, explained.refused)));
    slot.replaceChildren(...[explained.chip && chip(explained), location(explained, answer)].filter(Boolean));
  }

  return { element, asking, refused, show, explain };
}
