// Builds the pages of `spatioformer view`: `node build.mjs [FOLDER]`, by default into the package.
// The same sources and lock file give the same bytes.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = resolve(process.argv[2] ?? join(here, "../src/spatioformer/viewer/page"));

const exists = (path) => stat(path).then(() => true, () => false);

/** Pages: name of the built files -> folder of the sources, HTML file in it. */
const pages = { map: ["map", "index.html"], explorer: ["explorer", "explorer.html"] };

async function entries() {
  const points = {};
  for (const [name, [folder]] of Object.entries(pages)) {
    const path = join(here, "src", folder, "main.js"); // imports its CSS
    if (await exists(path)) points[name] = path;
  }
  return points;
}

/** The names of the npm packages that are inside the bundles. */
function packages(metafile) {
  const names = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const parts = input.split("node_modules/");
    if (parts.length < 2) continue;
    const [first, second] = parts.at(-1).split("/");
    names.add(first.startsWith("@") ? `${first}/${second}` : first);
  }
  return [...names].sort();
}

async function licences(names) {
  const texts = ["Packages inside the files of this folder, and their licences.\n"];
  for (const name of names) {
    const folder = join(here, "node_modules", name);
    const { version, license, homepage } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    if (!file) throw new Error(`${name} has no file with its licence`);
    const text = await readFile(join(folder, file), "utf8");
    texts.push(`${"=".repeat(78)}\n${name} ${version} (${license}) ${homepage ?? ""}\n\n${text.trim()}\n`);
  }
  return texts.join("\n").replaceAll("\r\n", "\n");
}

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: await entries(),
  outdir: target,
  bundle: true,
  minify: true,
  format: "iife", // modules do not run from disk
  target: ["es2021", "safari15"],
  charset: "utf8",
  legalComments: "none", // LICENSES.txt has them
  loader: { ".woff2": "file", ".png": "dataurl", ".svg": "dataurl" },
  assetNames: "[name]",
  metafile: true,
});
for (const [folder, page] of Object.values(pages)) {
  const source = join(here, "src", folder, page);
  if (await exists(source)) await copyFile(source, join(target, page));
}
await writeFile(join(target, "LICENSES.txt"), await licences(packages(metafile)));
for (const [path, { bytes }] of Object.entries(metafile.outputs)) {
  console.log(`${relative(target, resolve(here, path)).split(sep).join("/")} ${bytes.toLocaleString("en")} bytes`);
}
