// The buttons beside the map.
import { h, icon, iconButton } from "../shared/dom.js";
import { t } from "../shared/language.js";
import { isDark } from "../shared/theme.js";

/** Toolbar; `actions` has one function a button, and `has` says which of the optional ones there are. */
export function toolbar(store, actions, has) {
  const compare = has.compare && iconButton("compare", t("tool.compare"), actions.compare);
  const polygon = has.zones && iconButton("polygon", t("tool.polygon"), actions.zones);
  const sites = has.sites && iconButton("flag", t("tool.sites"), actions.sites);
  const theme = iconButton("moon", "", () => store.set({ theme: isDark(store.state.theme) ? "light" : "dark" }));
  const language = h(
    "button",
    {
      type: "button",
      className: "icon language",
      title: t("tool.language"),
      "aria-label": t("tool.language"),
      lang: store.state.language === "en" ? "es" : "en",
      onclick: () => store.set({ language: store.state.language === "en" ? "es" : "en" }),
    },
    store.state.language === "en" ? "ES" : "EN",
  );
  const element = h(
    "div",
    { className: "toolbar card", role: "toolbar", "aria-orientation": "vertical", "aria-label": t("page.tools") },
    iconButton("plus", t("tool.in"), actions.zoomIn, { className: "icon wide" }),
    iconButton("minus", t("tool.out"), actions.zoomOut, { className: "icon wide" }),
    iconButton("home", t("tool.home"), actions.home),
    h("hr", { "aria-hidden": "true" }),
    compare,
    polygon,
    sites,
    h("hr", { "aria-hidden": "true" }),
    has.picture && iconButton("picture", t("tool.picture"), actions.picture),
    iconButton("link", t("tool.link"), actions.link),
    h("hr", { "aria-hidden": "true" }),
    language,
    theme,
  );
  // One stop of the Tab key; arrows go on from there, as in every toolbar.
  const buttons = [...element.querySelectorAll("button")];
  const stop = (chosen) => buttons.forEach((one) => one.setAttribute("tabindex", one === chosen ? 0 : -1));
  stop(buttons[0]);
  element.addEventListener("focusin", (event) => stop(event.target));
  element.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const visible = buttons.filter((one) => one.offsetParent);
    visible[(visible.indexOf(document.activeElement) + step + visible.length) % visible.length].focus();
  });
  return {
    element,
    update(state, open) {
      compare && compare.setAttribute("aria-pressed", String(state.second !== null));
      polygon && polygon.setAttribute("aria-pressed", String(open === "zones"));
      sites && sites.setAttribute("aria-pressed", String(open === "sites"));
      const dark = isDark(state.theme);
      theme.replaceChildren(icon(dark ? "sun" : "moon"));
      theme.title = t(dark ? "tool.light" : "tool.dark");
      theme.setAttribute("aria-label", theme.title);
    },
  };
}
