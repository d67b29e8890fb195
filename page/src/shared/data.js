// Files of the server or of a static export. From disk, `fetch` fails, so data.js carries the JSON files.

export const fromDisk = location.protocol === "file:";

/** A sentence that the reader can act on. */
export class Refusal extends Error {}

function script(source) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = source;
    element.onload = resolve;
    element.onerror = () => reject(new Refusal(`${source} is missing beside this page.`));
    document.head.append(element);
  });
}

let disk = null;

async function fromScript(path) {
  disk ??= script("data.js").then(() => window.SPATIOFORMER);
  const files = await disk;
  if (!(path in files)) throw new Refusal(`${path} is missing in data.js.`);
  return files[path];
}

async function checked(answer, path) {
  if (answer.ok) return answer;
  let sentence = `${path}: ${answer.status} ${answer.statusText}`;
  try {
    sentence = (await answer.json()).error ?? sentence;
  } catch {
    // not JSON: the status says enough
  }
  throw new Refusal(sentence);
}

/** JSON of a path relative to the page. */
export async function read(path, options) {
  if (fromDisk) return fromScript(path);
  return (await checked(await fetch(path, options), path)).json();
}

/** Answer to a JSON body. */
export async function ask(path, body) {
  const headers = { "Content-Type": "application/json" };
  return checked(await fetch(path, { method: "POST", headers, body: JSON.stringify(body) }), path);
}
