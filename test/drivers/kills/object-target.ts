import { join } from "node:path";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { fromJson, toJson } from "./bytes-as-json.ts";
import type { OpenedTarget } from "./target.ts";

/** A Durable Object in workerd whose storage is in this folder. */
export async function objectTarget(folder: string): Promise<OpenedTarget> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "object.ts")],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    external: ["node:*", "cloudflare:*"],
    conditions: ["workerd"],
    logLevel: "error",
  });
  const miniflare = new Miniflare({
    modules: [{ type: "ESModule", path: "object.mjs", contents: outputFiles[0]!.text }],
    compatibilityDate: "2026-07-01",
    compatibilityFlags: ["nodejs_compat"],
    durableObjects: { HOLDER: { className: "Holder", useSQLite: true } },
    durableObjectsPersist: `${folder}/objects`,
  });
  const ask = async <Answer>(...asked: readonly unknown[]): Promise<Answer> => {
    const response = await miniflare.dispatchFetch("http://localhost/", {
      method: "POST",
      body: toJson(asked),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return fromJson(text) as Answer;
  };
  return {
    insert: (row) => ask("insert", row),
    update: (loaded, next) => ask("update", loaded, next),
    delete: (id) => ask("delete", id),
    replace: (loaded, next) => ask("replace", loaded, next),
    migrate: () => ask("migrate"),
    versions: (ids) => ask("versions", ids),
    close: () => miniflare.dispose(),
  };
}
