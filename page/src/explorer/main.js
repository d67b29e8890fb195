// The model explorer of `spatioformer view`: a run, a text model or a Vision Transformer.
import { setScales } from "../map/scales.js";
import { fromDisk, read } from "../shared/data.js";
import { h, iconButton } from "../shared/dom.js";
import { LANGUAGES, language, preferred, speak, t } from "../shared/language.js";
import { dress, isDark, onSystem } from "../shared/theme.js";
import { setTerms } from "../shared/terms.js";
import { chipSection } from "./chip.js";
import { choice, modelName } from "./frame.js";
import { Cells, setCoast } from "./geo.js";
import { placeSection } from "./place.js";
import { plotsSection } from "./plots.js";
import { responseSection, scoresSection, trainingSection } from "./results.js";
import { textSections } from "./text.js";
import { visionSections } from "./vision.js";
import { WORDS } from "./words.js";
import "./main.css";

/** Language, theme, and what the reader has chosen in the sections. */
const state = {};

function choices() {
  const given = new URLSearchParams(location.hash.replace(/^#/, ""));
  state.language = Object.hasOwn(LANGUAGES, given.get("lang")) ? given.get("lang") : preferred();
  state.theme = ["light", "dark"].includes(given.get("theme")) ? given.get("theme") : null;
  state.network = given.has("network") ? Number(given.get("network")) : null;
}

const address = (section) => {
  const given = new URLSearchParams({ lang: state.language });
  if (state.theme) given.set("theme", state.theme);
  if (state.network !== null) given.set("network", state.network);
  if (section) given.set("section", section);
  return `#${given}`;
};

/** The map keeps language and theme. */
const mapAddress = () => {
  const given = new URLSearchParams({ lang: state.language });
  if (state.theme) given.set("theme", state.theme);
  return `index.html#${given}`;
};

async function start(root) {
  choices();
  speak(state.language, WORDS);
  root.replaceChildren(h("p", { className: "loading" }, t("page.loading")));
  const [facts, style, terms] = await Promise.all(["explorer", "style", "terms"].map((name) => read(`api/${name}.json`)));
  setScales(style);
  setTerms(terms);
  if (facts.kind === "run") await read("api/ground.json").then(setCoast, () => {});
  if (!(facts.networks?.[state.network] && !facts.static)) state.network = null;
  const rebuild = () => build(root, facts, rebuild);
  rebuild();
  onSystem(() => state.theme || rebuild());
  const asked = new URLSearchParams(location.hash.replace(/^#/, "")).get("section");
  if (asked) document.getElementById(asked)?.scrollIntoView();
  root.dataset.ready = fromDisk ? "disk" : "yes";
}

function build(root, facts, rebuild) {
  speak(state.language, WORDS);
  dress(state.theme);
  document.title = `${t("page.kicker")} · ${facts.title ?? facts.name}`;
  const place = window.scrollY;
  const sections = sectionsOf(facts);
  const main = h("main", { id: "content", tabindex: -1 }, sections);
  root.replaceChildren(
    h("a", { className: "skip", href: "#content", onclick: (event) => (event.preventDefault(), main.focus()) }, t("page.skip")),
    header(facts, rebuild),
    h("div", { className: "columns" }, contents(sections), main),
  );
  window.scrollTo(0, place);
}

function sectionsOf(facts) {
  if (facts.kind === "text") return textSections(facts, state);
  if (facts.kind === "vision") return visionSections(facts, state);
  const cells = new Cells(facts.places);
  const chip = facts.table ? null : chipSection(facts, cells, state); // a table of plots has no chips
  const open = (row) => {
    if (!chip) return;
    chip.plot(row);
    chip.element.scrollIntoView({ behavior: "smooth" });
  };
  return [
    placeSection(facts, cells, state),
    chip?.element,
    plotsSection(facts, state, facts.static ? (row) => facts.examples.includes(row) && open(row) : open),
    trainingSection(facts.training),
    scoresSection(facts, state),
    responseSection(facts),
  ].filter(Boolean);
}

function header(facts, rebuild) {
  const change = (values) => {
    Object.assign(state, values);
    history.replaceState(null, "", address());
    rebuild();
  };
  const dark = isDark(state.theme);
  const other = language() === "en" ? "es" : "en";
  const lead = facts.kind === "run" ? t("page.run", { model: modelName(facts.model) }) : t(`page.${facts.kind}`);
  const about = facts.model?.about ?? [];
  return h(
    "header",
    { className: "top" },
    h(
      "div",
      { className: "titles" },
      h("p", { className: "kicker" }, t("page.kicker")),
      h("h1", {}, facts.title ?? facts.name),
      h("p", { className: "lead" }, [lead, facts.virtual && t("page.virtual"), facts.static && t("page.static"), facts.static && facts.networks?.length > 1 && t("network.static"), facts.map === false && t("page.noMap")].filter(Boolean).join(" ")),
      about.length > 0 && h("details", {}, h("summary", {}, t("page.about")), h("dl", {}, about.map(([term, text]) => [h("dt", {}, term), h("dd", {}, text)]))),
    ),
    h(
      "nav",
      { className: "tools", "aria-label": t("page.kicker") },
      facts.map && h("a", { href: mapAddress() }, t("page.map")),
      facts.report && h("a", { href: "report.html" }, t("page.report")),
      facts.networks?.length > 1 && !facts.static && networkChoice(facts, change),
      h("button", { type: "button", className: "icon", lang: other, title: t("page.language"), "aria-label": t("page.language"), onclick: () => change({ language: other }) }, other.toUpperCase()),
      iconButton(dark ? "sun" : "moon", t(dark ? "page.light" : "page.dark"), () => change({ theme: dark ? "light" : "dark" })),
    ),
  );
}

/** Which network of an ensemble or stack the sections on place and attention show. */
function networkChoice({ networks, network }, change) {
  const options = networks.map(({ member }, k) => [String(k), [t("network.one", { number: k + 1, count: networks.length }), member].filter(Boolean).join(", ")]);
  return choice(t("network.title"), options, String(state.network ?? network), (value) => change({ network: Number(value) }));
}

function contents(sections) {
  const links = sections.map((one) =>
    h("a", { href: address(one.id), onclick: (event) => (event.preventDefault(), jump(one)) }, one.querySelector("h2").textContent),
  );
  return h("nav", { className: "contents", "aria-label": t("page.sections") }, links);
}

function jump(section) {
  history.replaceState(null, "", address(section.id));
  section.scrollIntoView();
  const title = section.querySelector("h2");
  title.setAttribute("tabindex", -1);
  title.focus({ preventScroll: true });
}

const root = document.getElementById("app");
start(root).catch((error) => {
  root.replaceChildren(h("p", { className: "loading", role: "alert" }, t("page.failed", { why: error.message })));
});
