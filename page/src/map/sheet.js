// A canvas that lies on the map and moves with it. What it shows is drawn by a function of a view, so that the
// picture for download is drawn by the same function.
import L from "leaflet";

/**
 * View of a map for drawing functions: position in CSS pixels = world position * scale - (x0, y0).
 * @typedef {{scale: number, x0: number, y0: number, width: number, height: number, zoom: number}} View
 */

/** View of what is inside the map's container. */
export function viewOf(map) {
  const size = map.getSize();
  const zoom = map.getZoom();
  const { min } = map.getPixelBounds();
  return { scale: 256 * 2 ** zoom, x0: min.x, y0: min.y, width: size.x, height: size.y, zoom };
}

export const Sheet = L.Renderer.extend({
  options: { padding: 0.2 },

  /** `draw(context, view, ratio)`; the context is cleared, and its unit is a CSS pixel. */
  initialize(draw, options) {
    L.Renderer.prototype.initialize.call(this, options);
    this._draw = draw;
    this._layers = {};
  },

  getEvents() {
    return { ...L.Renderer.prototype.getEvents.call(this), move: this._onMove };
  },

  _initContainer() {
    this._container = document.createElement("canvas");
    this._container.className = "sheet";
    this._container.setAttribute("aria-hidden", "true");
  },

  _destroyContainer() {
    this._container.remove();
    delete this._container;
  },

  _updatePaths() {},

  _onMove() {
    if (this._map._animatingZoom || !this._bounds) return;
    const topLeft = this._map.containerPointToLayerPoint([0, 0]);
    const bottomRight = topLeft.add(this._map.getSize());
    if (!this._bounds.contains(L.bounds(topLeft, bottomRight))) this._update();
  },

  redraw() {
    if (this._map && this._view_) this._repaint();
  },

  _update() {
    if (this._map._animatingZoom && this._bounds) return;
    L.Renderer.prototype._update.call(this);
    const { min } = this._bounds;
    const size = this._bounds.getSize();
    const canvas = this._container;
    const ratio = (this._ratio = window.devicePixelRatio || 1);
    canvas.width = Math.round(size.x * ratio);
    canvas.height = Math.round(size.y * ratio);
    canvas.style.width = `${size.x}px`;
    canvas.style.height = `${size.y}px`;
    L.DomUtil.setPosition(canvas, min);
    const origin = this._map.getPixelOrigin();
    const zoom = this._map.getZoom();
    this._view_ = {
      scale: 256 * 2 ** zoom,
      x0: origin.x + min.x,
      y0: origin.y + min.y,
      width: size.x,
      height: size.y,
      zoom,
    };
    this._repaint();
  },

  _repaint() {
    const canvas = this._container;
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(this._ratio, 0, 0, this._ratio, 0, 0);
    this._draw(context, this._view_, this._ratio);
  },
});
