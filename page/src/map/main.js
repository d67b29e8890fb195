// The map page of `spatioformer view`.
import { fromDisk, read } from "../shared/data.js";
import { h } from "../shared/dom.js";
import { preferred, speak, t } from "../shared/language.js";
import { setTerms } from "../shared/terms.js";
import { build } from "./app.js";
import { setGround } from "./ground.js";
import { setScales } from "./scales.js";
import { Store, parse } from "./state.js";
import { WORDS } from "./words.js";
import "./main.css";

/** Bounds whose east is larger than their west, also over the antimeridian. */
const continuous = ([west, south, east, north]) => [west, south, east < west ? east + 360 : east, north];

async function start(root) {
  speak(preferred(), WORDS);
  root.replaceChildren(h("p", { className: "loading" }, t("page.loading")));
  const [run, style, terms] = await Promise.all(["run", "style", "terms"].map((name) => read(`api/${name}.json`)));
  setScales(style);
  setTerms(terms);
  run.bounds = continuous(run.bounds);
  const store = new Store(parse(location.hash, run));
  let page = null;

  function rebuild() {
    const carried = page?.destroy();
    page = build(root, run, store, carried);
  }

  rebuild();
  read("api/ground.json").then((ground) => {
    setGround(ground);
    page.redraw();
  });
  store.listen((_, changed) => (changed.has("language") ? rebuild() : page.update(changed)));
  window.addEventListener("hashchange", () => {
    Object.assign(store.state, parse(location.hash, run));
    rebuild();
  });
  root.dataset.ready = fromDisk ? "disk" : "yes";
}

const root = document.getElementById("app");
start(root).catch((error) => {
  root.replaceChildren(h("p", { className: "loading", role: "alert" }, t("page.failed", { why: error.message })));
});
