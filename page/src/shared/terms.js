// Terms of the field, from the glossary (api/terms.json): a button beside a title shows what its terms mean.
import { h } from "./dom.js";
import { say, t } from "./language.js";

let held = {};

export const setTerms = (terms) => (held = terms);

/**
 * [button, list] of some terms, or nothing without any. The mouse shows the meanings as a tooltip;
 * a click or Enter opens the list.
 */
export function meanings(...ids) {
  const known = ids.filter((id) => id in held).map((id) => held[id]);
  if (!known.length) return [];
  const list = h("dl", { className: "terms", hidden: true }, known.map(({ name, meaning }) => [h("dt", {}, say(name)), h("dd", {}, say(meaning))]));
  const button = h(
    "button",
    {
      type: "button",
      className: "what",
      "aria-expanded": "false",
      "aria-label": t("terms.what", { names: known.map(({ name }) => say(name)).join(", ") }),
      title: known.map(({ name, meaning }) => `${say(name)}: ${say(meaning)}`).join("\n\n"),
      onclick: () => {
        list.hidden = !list.hidden;
        button.setAttribute("aria-expanded", String(!list.hidden));
      },
    },
    "?",
  );
  return [button, list];
}

/** A title with the terms that it needs. */
export function titled(title, ...ids) {
  const [button, list] = meanings(...ids);
  return button ? [h("div", { className: "titled" }, title, button), list] : [title];
}
