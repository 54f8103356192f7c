import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { defineConfig, type Plugin } from "vite";

/** The OpenAPI viewers, shipped under docs/ so that reading the API asks no other host. */
const VIEWERS = [
  "swagger-ui-dist/swagger-ui-bundle.js",
  "swagger-ui-dist/swagger-ui.css",
  "swagger-ui-dist/favicon-32x32.png",
  "redoc/bundles/redoc.standalone.js",
];

/** Packages whose code is part of what is shipped. */
const SHIPPED = [
  "preact",
  "marked",
  "socket.io-client",
  "socket.io-parser",
  "@socket.io/component-emitter",
  "engine.io-client",
  "engine.io-parser",
  "swagger-ui-dist",
  "redoc",
];

const NODE_MODULES = join(import.meta.dirname, "node_modules");

function openapiViewers(): Plugin {
  return {
    name: "openapi-viewers",
    generateBundle() {
      for (const file of VIEWERS) {
        const source = readFileSync(join(NODE_MODULES, file));
        this.emitFile({ type: "asset", fileName: `docs/${basename(file)}`, source: prepared(file, source) });
      }
    },
  };
}

/** Their licences, as they ask for. */
function licences(): Plugin {
  return {
    name: "licences",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "licences.txt", source: SHIPPED.map(licenceOf).join("\n\n") });
    },
  };
}

function licenceOf(pack: string): string {
  const folder = join(NODE_MODULES, pack);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string; license: string };
  const texts = readdirSync(folder)
    .filter((name) => /^(licen[cs]e|notice)/i.test(name))
    .sort();
  const body = texts.map((name) => readFileSync(join(folder, name), "utf8").trim()).join("\n\n");
  return `${pack} ${version} (${license})\n${"-".repeat(72)}\n${body}\n`;
}

const REDOC_LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg";

/** The file without its pointer to a source map, which is not shipped, and without the one picture Redoc asks of another host. */
function prepared(file: string, source: Buffer): Buffer | string {
  if (file.endsWith(".png")) return source;
  const text = source.toString("utf8").replace(/\n?(\/\/|\/\*)# sourceMappingURL=\S+( \*\/)?\s*$/, "\n");
  if (!file.endsWith("redoc.standalone.js")) return text;
  if (!text.includes(REDOC_LOGO)) throw new Error("Redoc has changed: look for requests to other hosts.");
  return text.replace(REDOC_LOGO, "/static/favicon.svg");
}

export default defineConfig({
  base: "/static/",
  plugins: [openapiViewers(), licences()],
  build: {
    outDir: "../server/web/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    proxy: Object.fromEntries(
      ["/auth", "/register", "/user", "/workspace", "/chat", "/agent", "/ping", "/socket.io", "/openapi.json"].map((path) => [
        path,
        { target: process.env.PARLEY ?? "http://127.0.0.1:8000", ws: path === "/socket.io" },
      ]),
    ),
  },
  test: { include: ["tests/**/*.test.{ts,tsx}"] },
} as Parameters<typeof defineConfig>[0]);
