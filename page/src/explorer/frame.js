// What all sections of the explorer are made of.
import { h } from "../shared/dom.js";
import { language, t } from "../shared/language.js";
import { titled } from "../shared/terms.js";

/** Terms of the glossary that a section needs. */
const TERMS = {
  place: ["geolocation", "cosine", "gaussian_process"],
  chip: ["chip", "attention", "layer", "head", "rollout", "occlusion"],
  plots: ["plot", "held_out", "prediction_error", "embedding"],
  training: ["training", "epoch", "loss", "overfitting"],
  scores: ["held_out", "spatial_validation", "r2", "fold"],
  response: ["covariate"],
  text: ["token", "attention", "query", "key", "softmax", "causal_mask", "logit", "temperature"],
  image: ["patch", "attention", "class_token", "rollout"],
};

/** A section with its title and a sentence on what it shows. */
export function section(id, title, lead, ...children) {
  return h(
    "section",
    { id, "aria-labelledby": `${id}-title` },
    titled(h("h2", { id: `${id}-title` }, title), ...(TERMS[id] ?? [])),
    ...[lead].flat().filter(Boolean).map((text) => h("p", { className: "lead" }, text)),
    ...children,
  );
}

/** A line that says what is under the mouse or chosen; read out by screen readers. */
export function readout(text = "") {
  const element = h("p", { className: "readout", "aria-live": "polite" }, text || "\u00a0");
  return { element, say: (words) => (element.textContent = words || "\u00a0") };
}

/** A choice with its name. `options` are [value, text]. */
export function choice(name, options, value, change) {
  const select = h(
    "select",
    { onchange: () => change(select.value) },
    options.map(([key, text]) => h("option", { value: key }, text)),
  );
  select.value = value;
  return h("label", { className: "choice" }, h("span", {}, name), select);
}

/** The catalogue has titles in English only; elsewhere a model has its name. */
export const modelName = ({ title, name }) => (language() === "en" || !name ? title : name);

/** The part of an address that names the network that the reader chose. */
export const ofNetwork = ({ network }, sign = "?") => (network === null ? "" : `${sign}network=${network}`);

/** The sentence of an error, in the place of what failed. */
export const failure = (error) => h("p", { className: "failure", role: "alert" }, error.message);

/** Something that is loaded: a sentence until then, and where it fails. */
export function later(promise, build) {
  const element = h("div", { className: "later" }, h("p", { className: "note" }, t("page.loading")));
  promise.then(build).then(
    (content) => element.replaceChildren(...[content].flat().filter(Boolean)),
    (error) => element.replaceChildren(failure(error)),
  );
  return element;
}
