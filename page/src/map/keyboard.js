// The map by keyboard: arrows move a crosshair, Enter asks there.
import { h, s } from "../shared/dom.js";

const STEP = 24;
const FINE = 4;
const EDGE = 60;

/** Crosshair in the middle of the map; `actions` are {ask(latlng), corner(latlng), close(), back(), leave(), drawing()}. */
export function crosshair(map, actions) {
  const element = h(
    "div",
    { className: "crosshair", hidden: true, "aria-hidden": "true" },
    s("svg", { viewBox: "0 0 48 48" }, s("path", { d: "M24 2v16M24 30v16M2 24h16M30 24h16", class: "under" }), s("path", { d: "M24 2v16M24 30v16M2 24h16M30 24h16" }), s("circle", { cx: 24, cy: 24, r: 1.6 })),
  );
  const container = map.getContainer();
  let at = null;

  function put(point) {
    at = point;
    element.style.left = `${at.x}px`;
    element.style.top = `${at.y}px`;
    element.hidden = false;
  }

  function move(dx, dy) {
    const size = map.getSize();
    const next = (at ?? size.divideBy(2)).add([dx, dy]);
    const over = (value, most) => (value < EDGE ? value - EDGE : value > most - EDGE ? value - most + EDGE : 0);
    const pan = [over(next.x, size.x), over(next.y, size.y)];
    if (pan[0] || pan[1]) map.panBy(pan, { animate: false });
    put(next.subtract(pan));
  }

  container.addEventListener("keydown", (event) => {
    if (event.target !== container || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? FINE : STEP;
    const here = () => map.containerPointToLatLng(at ?? map.getSize().divideBy(2));
    const keys = {
      ArrowLeft: () => move(-step, 0),
      ArrowRight: () => move(step, 0),
      ArrowUp: () => move(0, -step),
      ArrowDown: () => move(0, step),
      "+": () => map.zoomIn(),
      "=": () => map.zoomIn(),
      "-": () => map.zoomOut(),
      Enter: () => (actions.drawing() ? actions.close() : actions.ask(here())),
      " ": () => actions.drawing() && actions.corner(here()),
      Backspace: () => actions.drawing() && actions.back(),
      Escape: () => actions.leave(),
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    if (!at && (event.key === "Enter" || event.key === " ")) put(map.getSize().divideBy(2));
    keys[event.key]();
  });
  // Leaflet focuses its map on every click; the outline is for those who come by keyboard.
  container.addEventListener("pointerdown", () => (container.dataset.pointer = "yes") && (element.hidden = true), true);
  document.addEventListener("keydown", () => delete container.dataset.pointer, true);
  container.addEventListener("blur", () => (element.hidden = true));
  container.addEventListener("focus", () => {
    if (at && !container.dataset.pointer) element.hidden = false;
  });
  return { element, latlng: () => map.containerPointToLatLng(at ?? map.getSize().divideBy(2)) };
}
