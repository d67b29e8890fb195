// Scale bar for the middle of the map, where Web Mercator has the scale that it states.
import { h } from "../shared/dom.js";
import { number } from "../shared/language.js";

const EQUATOR_M = 2 * Math.PI * 6378137;

/** Round length of at most `most` CSS pixels: {metres, pixels, text}. */
export function bar(view, lat, most = 130) {
  const metre = view.scale / (EQUATOR_M * Math.cos((lat * Math.PI) / 180)); // pixels a metre on the ground
  const power = 10 ** Math.floor(Math.log10(most / metre));
  const metres = [5, 2, 1].map((one) => one * power).find((one) => one * metre <= most) ?? power;
  const text = metres >= 1000 ? `${number(metres / 1000)} km` : `${number(metres)} m`;
  return { metres, pixels: metres * metre, text };
}

export function scaleBar(map, viewOf) {
  const text = h("span", {});
  const line = h("span", { className: "line" });
  const element = h("div", { className: "scalebar", "aria-hidden": "true" }, text, line);
  const update = () => {
    const made = bar(viewOf(map), map.getCenter().lat);
    text.textContent = made.text;
    line.style.width = `${made.pixels}px`;
  };
  map.on("zoomend moveend", update);
  update();
  return { element, update };
}
