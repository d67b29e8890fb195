// A Vision Transformer: patches, attention of the class token or of a patch, rollout, predictions.
import { Refusal, read } from "../shared/data.js";
import { h } from "../shared/dom.js";
import { amount, number, t } from "../shared/language.js";
import { bars } from "./bars.js";
import { named } from "./colours.js";
import { failure, readout, section } from "./frame.js";
import { headChooser } from "./heads.js";
import { overlay } from "./overlay.js";
import { trainingSection } from "./results.js";
import { share } from "./text.js";
import { extent, slice, unpack } from "./unpack.js";

const MOST = 2_000_000; // bytes of an image, as the server allows

export function visionSections(facts, state) {
  const body = h("div", {});

  let turn = 0; // the newest image wins, whichever answer comes last

  async function show(promise) {
    const mine = ++turn;
    try {
      const answer = await promise;
      if (mine === turn) body.replaceChildren(...look(answer, facts, state));
    } catch (error) {
      if (mine === turn) body.replaceChildren(failure(error));
    }
  }

  const thumbs = facts.samples.map((one, i) =>
    h(
      "button",
      { type: "button", className: "thumb", title: one.name, "aria-pressed": "false", onclick: () => press(i) },
      h("img", { src: one.picture, alt: one.name }),
    ),
  );

  function press(i) {
    thumbs.forEach((one, k) => one.setAttribute("aria-pressed", String(k === i)));
    state.image = i;
    show(read(`api/explorer/image/${i}.json`));
  }

  const file = h("input", {
    type: "file",
    id: "image-file",
    accept: "image/png,image/jpeg,image/gif,image/bmp,image/webp",
    onchange: () => {
      const [chosen] = file.files;
      if (!chosen) return;
      thumbs.forEach((one) => one.setAttribute("aria-pressed", "false"));
      show(send(chosen));
    },
  });
  if (thumbs.length) press(state.image ?? 0);
  else body.append(h("p", { className: "note" }, t("vision.none")));
  const values = {
    rows: facts.grid[0],
    cols: facts.grid[1],
    patch: facts.patch,
    layers: facts.layers,
    heads: facts.heads,
  };
  return [
    section(
      "image",
      t("vision.title"),
      t("vision.lead", values),
      thumbs.length > 0 && h("div", { className: "thumbs", role: "group", "aria-label": t("vision.images") }, thumbs),
      h("p", { className: "upload" }, h("label", { for: "image-file" }, t("vision.upload")), file),
      body,
    ),
    trainingSection(facts.training),
  ];
}

async function send(file) {
  if (file.size > MOST) throw new Refusal(t("vision.large", { mb: number(file.size / 1e6, 1) }));
  return read("api/explorer/image.json", { method: "POST", body: file });
}

/** What is shown of one image. */
function look(answer, facts, state) {
  const [weights, rollout] = [unpack(answer.weights), unpack(answer.rollout)];
  const [layers, heads, queries, tokens] = weights.shape;
  const [paint, line] = [named("viridis"), readout(t("vision.hover"))];
  const places = { picture: answer.picture, grid: answer.grid };
  let query = 0; // the class token
  const of = (layer, head) => slice(weights, layer, head, query);
  const patchName = (i) => t("vision.patch", { row: Math.floor(i / answer.grid[1]) + 1, col: (i % answer.grid[1]) + 1 });

  const view = overlay({
    ...places,
    label: t("vision.overlay"),
    point: (i, value) => line.say(t("vision.cell", { patch: patchName(i), weight: number(value, 3), own: number(of(...chooser.current())[0], 3) })),
    choose: queries > 1 ? (i) => ask(query === i + 1 ? 0 : i + 1) : null,
  });
  const flow = overlay({ ...places, label: t("vision.rollout"), point: (i, value) => line.say(t("vision.share", { patch: patchName(i), share: share(value) })) });
  const who = h("p", { className: "note" });
  const back = h("button", { type: "button", hidden: true, onclick: () => ask(0) }, t("vision.class"));

  function draw() {
    const row = of(...chooser.current());
    const most = extent(row.subarray(1))[1];
    view.fill(row.subarray(1), (value) => paint(value / most), query ? query - 1 : null);
    who.textContent = query ? t("vision.fromPatch", { patch: patchName(query - 1) }) : t("vision.fromClass");
    back.hidden = query === 0;
  }

  function ask(token) {
    query = token;
    chooser.draw();
    draw();
  }

  const chooser = headChooser({
    layers: Array.from({ length: layers }, (_, i) => String(i + 1)),
    heads,
    picture: (layer, head) => ({ rows: answer.grid[0], cols: answer.grid[1], values: of(layer, head).subarray(1, tokens) }),
    paint,
    choose: (layer, head) => ((state.head = [layer, head]), draw()),
    at: state.head,
  });
  const at = state.head ?? [layers - 1, 0];
  chooser.select(Math.min(at[0], layers - 1), Math.min(at[1], heads - 1), false);
  const most = extent(rollout.data)[1];
  flow.fill(rollout.data, (value) => paint(value / most));
  const classes = facts.task === "classification";
  const rows = answer.predictions.slice(0, 10).map((one, i) => ({
    name: one.label,
    value: one.value,
    text: classes ? share(one.value) : amount(one.value),
    strong: classes && i === 0,
  }));
  return [
    h("h3", {}, t("vision.attention")),
    h("p", { className: "note" }, t(queries > 1 ? "vision.how" : "vision.howClass")),
    h(
      "div",
      { className: heads > 6 ? "instrument stacked" : "instrument" },
      chooser.element,
      h(
        "div",
        {},
        h(
          "div",
          { className: "pictures" },
          h("figure", {}, h("figcaption", {}, t("vision.picture")), plainPicture(answer)),
          h("figure", {}, h("figcaption", {}, t("vision.overlay")), view.element, who, back),
          h("figure", {}, h("figcaption", {}, t("vision.rollout")), flow.element, h("p", { className: "note" }, t("vision.rolloutHow"))),
        ),
        line.element,
      ),
    ),
    h("h3", {}, t(classes ? "vision.classes" : "vision.values")),
    bars(rows, { label: t(classes ? "vision.classes" : "vision.values"), most: classes ? 1 : undefined }),
  ];
}

function plainPicture(answer) {
  const element = h("div", { className: "overlay" }, h("img", { src: answer.picture, alt: answer.name }));
  element.style.aspectRatio = `${answer.grid[1]} / ${answer.grid[0]}`;
  return element;
}
