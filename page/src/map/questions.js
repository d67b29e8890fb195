// Asking about a place: first the value, then what the model looked at.
import { Refusal, read } from "../shared/data.js";
import { spoken } from "./answer.js";
import { answerFromTiles, nearest, valueLayer } from "./static.js";

/** Longitude in [-180, 180]; maps over the antimeridian go on beyond it. */
const wrapped = (lon) => (Math.abs(lon) <= 180 ? lon : ((((lon + 180) % 360) + 360) % 360) - 180);

/** `host` is {run, store, card, plots, announce}; the newest question wins. */
export function questions({ run, store, card, plots, announce }) {
  let turn = 0;
  let last = null;

  const query = ([lon, lat], year) => {
    const values = new URLSearchParams({ lon: wrapped(lon).toFixed(6), lat: lat.toFixed(6) });
    if (year !== null) values.set("year", year);
    return values;
  };

  async function about(point, year) {
    if (run.static) return answerFromTiles(run, await plots(), ...point, year);
    const answer = await read(`api/at.json?${query(point, year)}`);
    return { ...answer, nearest: answer.nearest ?? nearest(await plots(), ...point) };
  }

  function present() {
    const { answer, plot, explained } = last;
    card.show(answer, { range: valueLayer(run)?.range ?? [], year: store.state.year, plot });
    if (explained) card.explain(explained, answer);
  }

  async function ask(plot = null) {
    const { point, year } = store.state;
    if (!point) return;
    const mine = ++turn;
    const waits = setTimeout(() => mine === turn && card.asking(...point), 120);
    try {
      const answer = await about(point, year);
      if (mine !== turn) return;
      last = { answer, plot, explained: null };
      present();
      announce(spoken(answer, run));
      if (run.static || !answer.inside) return;
      const explained = await read(`api/explain.json?${query(point, year)}`);
      if (mine !== turn) return;
      last.explained = explained;
      card.explain(explained, answer);
    } catch (error) {
      if (mine !== turn) return;
      if (!(error instanceof Refusal)) console.error(error);
      if (last?.answer && mine === turn && last.answer.lon === point[0] && last.answer.lat === point[1]) return;
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
