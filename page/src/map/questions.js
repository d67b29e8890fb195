// Asking about a place: first the value, then what the model looked at.
import { Refusal, read } from "../shared/data.js";
import { spoken } from "./answer.js";
import { wrapped } from "./mercator.js";
import { answerFromTiles, nearest, valueLayer } from "./static.js";

/** `host` is {run, store, card, plots, announce}; the newest question wins. */
export function questions({ run, store, card, plots, announce }) {
  let turn = 0;
  let last = null;
  let held = null;

  const query = ([lon, lat], year) => {
    const values = new URLSearchParams({ lon: wrapped(lon).toFixed(6), lat: lat.toFixed(6) });
    if (year !== null) values.set("year", year);
    return values;
  };

  async function about(point, year) {
    if (run.static) return answerFromTiles(run, await plots(), ...point, year);
    const answer = await read(`api/at.json?${query(point, year)}`);
    const inside = answer.inside && Number.isFinite(answer.value); // a pixel of the map may have no prediction
    return { ...answer, inside, nearest: answer.nearest ?? nearest(await plots(), ...point) };
  }

  /** What the model looked at, asked once for a place and year. */
  function explanation(point, year) {
    const key = [...point, year].join();
    if (held?.key === key) return held.promise;
    const mine = (held = { key, promise: read(`api/explain.json?${query(point, year)}`) });
    mine.promise.catch(() => held === mine && (held = null)); // asked again next time
    return mine.promise;
  }

  function present() {
    const { answer, plot, explained } = last;
    card.show(answer, { range: valueLayer(run)?.range ?? [], year: store.state.year, plot });
    if (explained) card.explain(explained, answer);
  }

  /** The second part of the answer; where it is refused, the first part stays. */
  async function explain(point, year, mine) {
    let explained;
    try {
      explained = await explanation(point, year);
    } catch (error) {
      explained = { refused: error.message };
    }
    if (mine !== turn) return;
    last.explained = explained;
    card.explain(explained, last.answer);
  }

  async function ask(plot = null) {
    const { point, year } = store.state;
    if (!point) return;
    const mine = ++turn;
    const waits = setTimeout(() => mine === turn && card.asking(...point), 120);
    try {
      const answer = await about(point, year);
      clearTimeout(waits);
      if (mine !== turn) return;
      last = { answer, plot, explained: null };
      present();
      announce(spoken(answer, run));
      if (!run.static && answer.inside) await explain(point, year, mine);
    } catch (error) {
      if (mine !== turn) return;
      if (!(error instanceof Refusal)) console.error(error);
      card.asking(...point);
      card.refused(error.message);
      announce(error.message);
    } finally {
      clearTimeout(waits);
    }
  }

  return {
    ask,
    stop: () => {
      turn += 1;
      last = null;
    },
  };
}
