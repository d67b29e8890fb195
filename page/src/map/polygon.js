// Drawing a polygon: a click sets a corner, a double-click or Enter closes, Esc leaves.
import L from "leaflet";
import { onTurn } from "./mercator.js";

const CLOSE_PX = 10; // a click this near the first corner closes
const SAME_PX = 4; // two corners nearer than this are one (the second click of a double-click)

/** Tool on a map; `events` are {corner(count), few(), closed(corners), left()}. Corners are Leaflet LatLngs. */
export function polygonTool(map, pane, events) {
  let corners = null;
  const line = L.polyline([], { pane, className: "draft", interactive: false });
  const dots = L.layerGroup();

  const pixel = (latlng) => map.latLngToContainerPoint(latlng);

  function redraw(pointer) {
    line.setLatLngs(pointer && corners.length ? [...corners, pointer] : corners);
    dots.clearLayers();
    for (const latlng of corners) {
      L.circleMarker(latlng, { pane, radius: 4, className: "draft-corner", interactive: false }).addTo(dots);
    }
  }

  function corner(latlng) {
    if (!corners) return;
    const point = pixel(latlng);
    if (corners.length >= 3 && pixel(corners[0]).distanceTo(point) <= CLOSE_PX) return void close();
    if (corners.length && pixel(corners.at(-1)).distanceTo(point) <= SAME_PX) return;
    corners.push(latlng);
    redraw();
    events.corner(corners.length);
  }

  function end() {
    corners = null;
    line.remove();
    dots.remove();
    map.getContainer().classList.remove("drawing");
    map.doubleClickZoom.enable();
    map.off({ click, dblclick: close, mousemove: follow });
  }

  function close() {
    if (!corners) return;
    if (corners.length < 3) return void events.few();
    const drawn = corners;
    end();
    events.closed(drawn);
  }

  const click = (event) => corner(event.latlng);
  const follow = (event) => redraw(event.latlng);

  return {
    drawing: () => corners !== null,
    corner,
    close,
    start() {
      if (corners) end();
      corners = [];
      line.setLatLngs([]).addTo(map);
      dots.addTo(map);
      map.getContainer().classList.add("drawing");
      map.doubleClickZoom.disable();
      map.on({ click, dblclick: close, mousemove: follow });
    },
    back() {
      corners.pop();
      redraw();
      events.corner(corners.length);
    },
    leave() {
      if (!corners) return false;
      end();
      events.left();
      return true;
    },
  };
}

/** GeoJSON of corners; the ring is closed. */
export function toGeojson(corners) {
  const ring = corners.map(({ lng, lat }) => [+lng.toFixed(6), +lat.toFixed(6)]);
  return { type: "Polygon", coordinates: [[...ring, ring[0]]] };
}

/** A polygon whose parts lie on the turn of the Earth on which the map lies. */
export function turned({ type, coordinates }, bounds) {
  const part = (rings) => {
    const lons = rings.flat().map(([lon]) => lon);
    const middle = (Math.min(...lons) + Math.max(...lons)) / 2;
    const shift = onTurn(middle, bounds) - middle;
    return rings.map((ring) => ring.map(([lon, lat]) => [lon + shift, lat]));
  };
  return { type, coordinates: type === "Polygon" ? part(coordinates) : coordinates.map(part) };
}

/** All polygons of a GeoJSON object of any kind. */
export function polygonsOf(geojson) {
  switch (geojson?.type) {
    case "FeatureCollection":
      return (geojson.features ?? []).flatMap(polygonsOf);
    case "Feature":
      return polygonsOf(geojson.geometry);
    case "GeometryCollection":
      return (geojson.geometries ?? []).flatMap(polygonsOf);
    case "Polygon":
    case "MultiPolygon":
      return [{ type: geojson.type, coordinates: geojson.coordinates }];
    default:
      return [];
  }
}
