// The verdict on the map: a card in the panel, and in few words wherever the map stands without the panel.
import { h } from "../shared/dom.js";
import { say, t } from "../shared/language.js";

/** The first sentence of a text, and the others. */
function parted(text) {
  const [first, ...rest] = text.split(/(?<=[.!?]) /);
  return [first, rest.join(" ")];
}

/** The first sentence of the verdict, which decides; empty without one. */
export const decision = (run) => parted(say(run.verdict?.sentence))[0];

/** Whether the map is refused. */
export const refused = (run) => run.verdict?.level === "do-not-use";

/** What every copy of the map has to say: the verdict, unless it is to use the map, and that plants are simulated. */
export const warnings = (run) =>
  [run.verdict?.level === "use" ? "" : decision(run), run.virtual ? parted(say(run.virtual))[0] : ""].filter(Boolean);

/** The decision alone, for a phone whose panel is closed. */
export const brief = (run) => decision(run) && h("p", { className: `brief ${run.verdict.level ?? ""}` }, [decision(run), ...warnings({ virtual: run.virtual })].join(" "));

/** The card in the panel; null without a verdict. */
export function verdict(run) {
  if (!run.verdict?.sentence) return null;
  const [first, why] = parted(say(run.verdict.sentence));
  const more = h(
    "button",
    {
      type: "button",
      className: "more",
      "aria-expanded": "false",
      onclick: () => {
        const open = box.classList.toggle("open");
        more.setAttribute("aria-expanded", String(open));
        more.textContent = t(open ? "verdict.less" : "verdict.more");
      },
    },
    t("verdict.more"),
  );
  const box = h(
    "section",
    { className: `verdict ${run.verdict.level ?? ""}` },
    h("p", { className: "decision" }, first),
    why && h("p", { className: "why" }, why),
    why.length > 230 && more,
  );
  if (why.length <= 230) box.classList.add("open");
  return box;
}
