// Survey sites: numbered markers that can be moved and left out, and a GPX file of those that stay.
import L from "leaflet";
import { read } from "../shared/data.js";
import { download, h, iconButton } from "../shared/dom.js";
import { amount, place, say, t } from "../shared/language.js";
import { kilometres, onTurn, wrapped } from "./mercator.js";

const escape = (text) => text.replace(/[<>&"]/g, (one) => ({ "<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;" })[one]);

/** GPX 1.1 of waypoints [{order, lon, lat, why}]. */
export function gpx(sites, name) {
  const points = sites.map(
    ({ order, lon, lat, why }) =>
      `  <wpt lat="${lat.toFixed(6)}" lon="${lon.toFixed(6)}">\n    <name>${escape(String(order))}</name>\n    <desc>${escape(why)}</desc>\n  </wpt>`,
  );
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<gpx version="1.1" creator="spatioformer view" xmlns="http://www.topografix.com/GPX/1/1">',
    `  <metadata><name>${escape(name)}</name></metadata>`,
    ...points,
    "</gpx>",
    "",
  ].join("\n");
}

let held = null; // the file is read once; moves and exclusions outlive a change of the language

const fetched = (bounds) =>
  (held ??= read("api/sites.json").then(({ features }) =>
    features.map(({ properties, geometry }, k) => {
      const lat = geometry.coordinates[1];
      const lon = onTurn(geometry.coordinates[0], bounds);
      return { order: properties.order ?? k + 1, why: properties.why ?? "", lon, lat, from: [lon, lat], kept: true };
    }),
  ));

function facts(site) {
  const km = kilometres(...site.from, site.lon, site.lat);
  const moved = km > 0.01 ? ` · ${t("sites.km", { km: amount(km) })}` : "";
  return place(site.lon, site.lat) + moved;
}

/** Card and markers; `host` is {map, pane, run, announce, crosshair(), close()}. */
export function surveySites({ map, pane, run, announce, crosshair, close }) {
  const group = L.layerGroup();
  let sites = [];
  const body = h("div", {}, h("p", { className: "note asking" }, t("sites.asking")));
  const button = h("button", { type: "button", className: "primary", onclick: save });
  const element = h(
    "section",
    { className: "sites card", "aria-label": t("sites.title"), hidden: true },
    h("header", {}, h("h2", {}, t("sites.title")), iconButton("close", t("tool.close"), close)),
    body,
  );

  const kept = () => sites.filter((one) => one.kept);

  function save() {
    const text = gpx(kept().map((one) => ({ ...one, lon: wrapped(one.lon), why: say(one.why) })), run.title ?? run.name);
    download(new Blob([text], { type: "application/gpx+xml" }), `${run.name}_sites.gpx`);
  }

  function moveTo(site, { lat, lng }) {
    [site.lon, site.lat] = [lng, lat];
    site.marker.setLatLng([lat, lng]);
    site.facts.textContent = facts(site);
    announce(t("sites.moved", { order: site.order, place: place(lng, lat) }));
  }

  function face() {
    button.textContent = t("sites.gpx", { count: kept().length });
    button.disabled = kept().length === 0;
    for (const site of sites) site.marker.getElement()?.classList.toggle("out", !site.kept);
  }

  function row(site) {
    const title = t("sites.one", { order: site.order });
    const icon = L.divIcon({ className: "site", html: String(site.order), iconSize: [26, 26] });
    site.marker = L.marker([site.lat, site.lon], { icon, pane, draggable: true, keyboard: false, title, autoPan: true });
    site.marker.on("dragend", () => moveTo(site, site.marker.getLatLng()));
    site.marker.addTo(group);
    site.facts = h("span", { className: "note" }, facts(site));
    const box = h("input", {
      type: "checkbox",
      onchange: () => {
        site.kept = box.checked;
        face();
      },
    });
    box.checked = site.kept;
    return h(
      "li",
      {},
      h("label", { className: "check" }, box, h("span", {}, h("strong", {}, title), " ", site.facts)),
      h("p", { className: "note" }, say(site.why)),
      h("button", { type: "button", className: "text", "aria-label": `${title}: ${t("sites.here")}`, onclick: () => moveTo(site, crosshair()) }, t("sites.here")),
    );
  }

  let filled = false;

  async function fill() {
    if (filled) return;
    filled = true; // also while the file is on its way: a card opened twice has each marker once
    try {
      sites = await fetched(run.bounds);
    } catch (error) {
      filled = false;
      held = null;
      body.replaceChildren(h("p", { className: "notice" }, error.message));
      return;
    }
    if (!sites.length) return void body.replaceChildren(h("p", { className: "notice" }, t("sites.none")));
    const list = h("ol", { className: "sites-list" }, sites.map(row));
    body.replaceChildren(h("p", { className: "note" }, t("sites.help")), h("div", { className: "buttons" }, button), list);
    face();
  }

  return {
    element,
    kept,
    async show(visible) {
      element.hidden = !visible;
      if (!visible) return void group.remove();
      group.addTo(map);
      await fill();
      face();
    },
  };
}
