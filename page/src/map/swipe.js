// The divider between two layers: drag it, or move it with the arrow keys.
import { h } from "../shared/dom.js";
import { t } from "../shared/language.js";

/** Clip panes of the map at a share of its width. */
export function clip(map, left, right, divide) {
  const size = map.getSize();
  const topLeft = map.containerPointToLayerPoint([0, 0]);
  const bottomRight = map.containerPointToLayerPoint([size.x, size.y]);
  const at = topLeft.x + size.x * divide;
  const box = (x0, x1) =>
    `polygon(${x0}px ${topLeft.y}px, ${x1}px ${topLeft.y}px, ${x1}px ${bottomRight.y}px, ${x0}px ${bottomRight.y}px)`;
  left.style.clipPath = box(topLeft.x, at);
  right.style.clipPath = box(at, bottomRight.x);
}

export function unclip(pane) {
  pane.style.clipPath = "";
}

/** Divider over the map; `moved(share)` is called while it moves. */
export function divider(container, moved) {
  const element = h(
    "div",
    {
      className: "divider",
      role: "slider",
      tabindex: 0,
      "aria-label": t("compare.divider"),
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      hidden: true,
    },
    h("span", { className: "grip", "aria-hidden": "true" }),
  );
  const set = (share) => moved(Math.min(0.98, Math.max(0.02, share)));
  let share = 0.5;
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    event.preventDefault();
    element.focus();
  });
  element.addEventListener("pointermove", (event) => {
    if (!element.hasPointerCapture(event.pointerId)) return;
    const { left, width } = container.getBoundingClientRect();
    set((event.clientX - left) / width);
  });
  for (const kind of ["mousedown", "touchstart", "click", "dblclick"]) element.addEventListener(kind, (event) => event.stopPropagation());
  element.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.1, PageUp: 0.1 }[event.key];
    if (step) set(share + step);
    else if (event.key === "Home") set(0);
    else if (event.key === "End") set(1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return {
    element,
    place(value) {
      share = value;
      element.style.left = `${100 * value}%`;
      element.setAttribute("aria-valuenow", Math.round(100 * value));
    },
  };
}
