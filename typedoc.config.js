// The API reference, from the docstrings of every subpath that the package exports.
import manifest from "./package.json" with { type: "json" };
import { Converter, ReflectionKind } from "typedoc";

const sources = new Map(
  Object.entries(manifest.exports)
    .filter(([, file]) => file.endsWith(".js"))
    .map(([subpath, file]) => [
      file.replace(/^\.\/dist\/(.*)\.js$/, "src/$1.ts"),
      subpath.replace(/^\./, manifest.name),
    ]),
);

/** Names each module as it is imported: `stored-session/express`, not the path of its source. */
function nameModules(app) {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_context, reflection) => {
    if (!reflection.kindOf(ReflectionKind.Module)) return;
    for (const [source, name] of sources) {
      if (`src/${reflection.name}.ts` === source || `src/${reflection.name}/index.ts` === source) {
        reflection.name = name;
        return;
      }
    }
  });
}

export default {
  plugin: ["typedoc-plugin-markdown", nameModules],
  entryPoints: [...sources.keys()],
  tsconfig: "tsconfig.build.json",
  out: "docs/api",
  entryFileName: "index",
  readme: "none",
  router: "module",
  excludePrivate: true,
  excludeInternal: true,
  disableSources: true,
  hidePageHeader: true,
  hideBreadcrumbs: true,
  logLevel: "Error",
};
