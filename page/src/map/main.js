// The map page of `spatioformer view`.
import { fromDisk, read } from "../shared/data.js";
import { h } from "../shared/dom.js";
import { preferred, speak, t } from "../shared/language.js";
import { build } from "./app.js";
import { setGround } from "./ground.js";
import { setScales } from "./scales.js";
import { Store, parse } from "./state.js";
import { WORDS } from "./words.js";
import "./main.css";

async function start(root) {
  speak(preferred(), WORDS);
  root.replaceChildren(h("p", { className: "loading" }, t("page.loading")));
  const [run, style] = await Promise.all([read("api/run.json"), read("api/style.json")]);
  setScales(style);
  const [ground, sites] = await Promise.all([read("api/ground.json"), run.sites ? read("api/sites.json") : null]);
  setGround(ground);
  const store = new Store(parse(location.hash, run));
  let page = null;

  function rebuild() {
    page?.destroy();
    page = build(root, run, store, sites);
  }

  rebuild();
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
