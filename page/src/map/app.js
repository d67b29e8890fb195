// The parts of the page put together: what the reader does changes the state, the state changes the parts.
import { Refusal, fromDisk, read } from "../shared/data.js";
import { download, h } from "../shared/dom.js";
import { speak, t } from "../shared/language.js";
import { dress, onSystem } from "../shared/theme.js";
import { card as answerCard } from "./answer.js";
import { compareBar, usualSecond } from "./compare.js";
import { crosshair } from "./keyboard.js";
import { histogram, legend } from "./legend.js";
import { onTurn } from "./mercator.js";
import { panel } from "./panel.js";
import { picture } from "./picture.js";
import { fromGeojson, residualLayer } from "./points.js";
import { questions } from "./questions.js";
import { scaleBar } from "./scalebar.js";
import { viewOf } from "./sheet.js";
import { surveySites } from "./sites.js";
import { stage } from "./stage.js";
import { valueLayer } from "./static.js";
import { format } from "./state.js";
import { timeline } from "./timeline.js";
import { toolbar } from "./toolbar.js";
import { WORDS } from "./words.js";
import { zones } from "./zones.js";

const phone = matchMedia("(max-width: 720px)");

/** Height of the closed panel at the foot of a phone's screen, CSS pixels. */
let foot = 264;

/** Follow that height, which depends on the words in the panel; scale bar and messages stand above it. */
function followFoot(panel, root) {
  const measure = () => {
    if (!phone.matches || panel.classList.contains("open")) return;
    foot = Math.round(panel.getBoundingClientRect().height);
    root.style.setProperty("--foot", `${foot}px`);
  };
  new ResizeObserver(measure).observe(panel);
  measure();
}

/** Space that the panel and the tools take of the map, and a card beside them, CSS pixels. */
const insets = () =>
  phone.matches
    ? { left: 12, top: 12, right: 56, bottom: foot, card: 0 }
    : { left: 388, top: 24, right: 84, bottom: 56, card: 388 };

/** Plots are read once, when they are first needed. */
function plotReader(run) {
  let held = null;
  let now = [];
  return {
    read: () => (held ??= run.plots ? read("api/plots.json").then((found) => (now = fromGeojson(found, run.bounds))) : Promise.resolve([])),
    now: () => now,
  };
}

/** The page; `carried` is what the page in another language held: the open card. */
export function build(root, run, store, carried = {}) {
  const { state } = store;
  speak(state.language, WORDS);
  dress(state.theme);
  document.title = `${run.title ?? run.name} · Spatioformer`;
  const plots = plotReader(run);
  let open = null;
  let gone = false; // whether another language has taken this page's place

  const live = h("div", { className: "hidden-text", "aria-live": "polite", role: "status" });
  const announce = (text) => (live.textContent = text);
  const toast = h("div", { className: "toast card", hidden: true });
  const notify = (text) => {
    announce(text);
    toast.textContent = text;
    toast.hidden = false;
    setTimeout(() => (toast.hidden = true), 2600);
  };

  const container = h("div", {
    id: "map",
    className: "map",
    role: "application",
    tabindex: 0,
    "aria-label": t("page.map"),
    "aria-describedby": "map-help",
  });
  const help = h("p", { id: "map-help", className: "hidden-text" }, t("page.mapHelp"));
  root.replaceChildren(container, help);

  const layerOf = (id) => run.layers.find((one) => one.id === id);
  const plotLayer = () =>
    state.plots === "residual" ? residualLayer(plots.now(), run.target.unit) : { ...valueLayer(run), unit: run.target.unit };
  const map = stage(container, { run, store, plots: plots.now, plotLayer, insets, disk: fromDisk });

  const key = legend(run);
  const aside = panel(run, store, key.element, { disk: fromDisk });
  const years = run.years?.length ? timeline(run.years, store, map.ready) : null;
  const bar = compareBar(run, store);
  const answer = answerCard(run, { close: () => openCard(null), choose: (year) => store.set({ year }), show: showPlot });
  const asking = questions({ run, store, card: answer, plots: plots.read, announce });
  const cross = crosshair(map.map, {
    ask: (latlng) => ask(latlng),
    corner: (latlng) => areas.tool.corner(latlng),
    close: () => areas.tool.close(),
    back: () => areas.tool.back(),
    leave: () => areas.tool.leave() || openCard(null),
    drawing: () => areas.tool.drawing(),
  });
  const shared = { map: map.map, run, store, announce, close: () => openCard(null) };
  const areas = zones({ ...shared, pane: "areas" });
  const survey = run.sites ? surveySites({ ...shared, pane: "sites", crosshair: cross.latlng }) : null;
  const scale = scaleBar(map.map, viewOf);
  const tools = toolbar(
    store,
    {
      zoomIn: () => map.map.zoomIn(),
      zoomOut: () => map.map.zoomOut(),
      home: () => map.home(true),
      compare: () => store.set({ second: state.second ? null : usualSecond(run, state) }),
      zones: () => openCard(open === "zones" ? null : "zones"),
      sites: () => openCard(open === "sites" ? null : "sites"),
      picture: savePicture,
      link: copyLink,
    },
    { compare: !fromDisk, zones: !fromDisk, sites: survey !== null, picture: !fromDisk },
  );

  container.append(cross.element);
  root.append(
    aside.element,
    bar.element,
    tools.element,
    answer.element,
    areas.element,
    ...(survey ? [survey.element] : []),
    ...(years ? [years.element] : []),
    h("div", { className: "credit" }, scale.element, h("span", {}, t("page.credit"))),
    toast,
    live,
  );
  root.className = `app${years ? " with-years" : ""}`;
  followFoot(aside.element, root);

  /** One card at a time: "answer", "zones", "sites" or none. */
  function openCard(name) {
    if (open === name) return;
    open = name;
    answer.element.hidden = name !== "answer";
    areas.show(name === "zones");
    survey?.show(name === "sites");
    root.classList.toggle("has-card", name !== null);
    if (name !== "answer") {
      asking.stop();
      map.point(null);
      store.set({ point: null });
    }
    store.set({ sites: name === "sites" });
    tools.update(state, open);
  }

  function ask({ lng, lat }, plot = null) {
    if (fromDisk) return void notify(t("page.disk"));
    openCard("answer");
    map.point(null);
    const point = plot ? [plot.lon, plot.lat] : [+lng.toFixed(6), +lat.toFixed(6)];
    store.set({ point });
    uncover(point[1], point[0]);
    asking.ask(plot);
  }

  /** Move the map where a place lies under a card. */
  function uncover(lat, lon) {
    const { left, top, right, bottom, card } = insets();
    const high = phone.matches ? map.map.getSize().y * 0.64 - bottom : 0;
    map.map.panInside([lat, lon], {
      paddingTopLeft: [left + 20, top + 20],
      paddingBottomRight: [right + card + 20, bottom + high + 40],
    });
  }

  function showPlot(plot, go) {
    const place = plot && { lat: plot.lat, lon: onTurn(plot.lon, run.bounds) };
    map.point(place);
    if (place && go) uncover(place.lat, place.lon);
  }

  /** The part of the window that no panel covers: what the picture shows, CSS pixels. */
  function frame() {
    const { x, y } = map.map.getSize();
    const { left, bottom } = insets();
    return phone.matches ? { left: 0, top: 0, width: x, height: y - bottom } : { left: left - 24, top: 0, width: x - left + 24, height: y };
  }

  async function savePicture() {
    const name = [run.name, state.layer, state.year].filter(Boolean).join("_") + ".png";
    if (state.plots !== "none") await plots.read().catch(() => {}); // without them it is a picture of the map
    const sites = open === "sites" ? survey.kept() : [];
    const scene = { run, state, map: map.map, looks: map.looks(), plots: plots.now(), plotLayer: plotLayer(), polygons: areas.shapes(), sites, frame: frame() };
    download(await picture(scene), name);
    notify(t("tool.pictureDone"));
  }

  async function copyLink() {
    try {
      await navigator.clipboard.writeText(location.href);
      notify(t("tool.linked"));
    } catch {
      notify(t("tool.linkFailed"));
    }
  }

  map.map.on("click", (event) => {
    if (areas.tool.drawing()) return;
    if (open === "sites" || open === "zones") return;
    ask(event.latlng, map.plotUnder(event.latlng));
  });
  let pointer = null; // where it rests on the map, CSS pixels
  const readPointer = () => key.point(pointer && map.read(map.map.containerPointToLatLng(pointer)));
  map.map.on("mousemove", (event) => {
    pointer = event.containerPoint;
    readPointer();
  });
  container.addEventListener("mouseleave", () => {
    pointer = null;
    readPointer();
  });
  map.painted(readPointer); // its tile may come after the pointer

  let due = 0;
  map.painted(() => {
    clearTimeout(due);
    due = setTimeout(distribution, 150);
  });
  map.map.on("moveend", () => {
    clearTimeout(due);
    due = setTimeout(distribution, 250);
  });

  function distribution() {
    if (gone) return;
    const view = viewOf(map.map);
    const { left, bottom } = insets();
    const layer = layerOf(state.layer);
    if (layer.kind === "rgb" || layer.kind === "classes") return;
    const box = {
      left: (view.x0 + (phone.matches ? 0 : left)) / view.scale,
      right: (view.x0 + view.width) / view.scale,
      top: view.y0 / view.scale,
      bottom: (view.y0 + view.height - (phone.matches ? bottom : 0)) / view.scale,
    };
    key.fill(histogram(map.tiles(), layer, box));
  }

  function legendOf() {
    const second = state.second && { layer: layerOf(state.second.layer), year: state.second.year };
    key.show(state, layerOf(state.layer), second, state.plots === "none" ? null : plotLayer());
    distribution();
    readPointer();
  }

  async function plotsWanted() {
    await plots.read();
    if (gone) return;
    map.update(new Set(["plots"]));
    legendOf();
  }

  function update(changed) {
    if (changed.has("language")) speak(state.language, WORDS);
    if (changed.has("theme")) dress(state.theme);
    map.update(changed);
    aside.update(state);
    bar.update(state);
    tools.update(state, open);
    if (years) {
      years.update(state);
      years.element.hidden = !layerOf(state.layer).years && !(state.second && layerOf(state.second.layer).years);
    }
    if (["layer", "year", "hatch", "plots", "second"].some((name) => changed.has(name))) {
      legendOf();
      map.ready().then(distribution);
    }
    if (changed.has("plots") && state.plots !== "none") plotsWanted();
    if (changed.has("year")) {
      if (open === "answer") asking.ask();
      if (open === "zones") areas.recompute();
    }
    history.replaceState(null, "", format(state, run));
  }

  function destroy() {
    gone = true;
    asking.stop();
    areas.stop();
    map.map.remove();
    return { open };
  }

  onSystem(() => gone || map.update(new Set(["theme"])));
  document.fonts?.ready.then(() => map.redraw());
  update(new Set(["layer", "plots"]));
  const drawn = fromDisk || run.static ? [] : state.areas;
  if (carried.open === "zones" || drawn.length) {
    openCard("zones");
    areas.add(drawn);
  } else if (state.sites && survey) openCard("sites");
  else if (state.point) {
    openCard("answer");
    asking.ask();
  }
  return { update, redraw: map.redraw, destroy };
}
