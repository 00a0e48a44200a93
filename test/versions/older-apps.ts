/** What the examples and test applications write differently for an older version of their framework. */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

function replace(tree: string, file: string, from: string, to: string): void {
  const path = join(tree, file);
  const text = readFileSync(path, "utf8");
  if (!text.includes(from)) throw new Error(`${file} no longer contains ${from}`);
  writeFileSync(path, text.replaceAll(from, to));
}

/** Nuxt 3 has its pages next to the server's folder. */
export function nuxt3(tree: string): void {
  renameSync(join(tree, "examples/nuxt/app/app.vue"), join(tree, "examples/nuxt/app.vue"));
  rmSync(join(tree, "examples/nuxt/app"), { recursive: true });
}

/** Astro 5 takes every host for `localhost` without its port, and so the origin of a form for another one, unless told. */
export function astro5(tree: string): void {
  for (const folder of ["examples/astro", "test/adapters/astro-app"])
    replace(
      tree,
      `${folder}/astro.config.js`,
      'output: "server",',
      'output: "server",\n  security: { allowedDomains: [{ hostname: "localhost" }, { hostname: "127.0.0.1" }] },',
    );
  astro6(tree);
}

/** Astro 5 and 6 themselves fail with `TypeError: immutable` on a page that returns Response.redirect(), without any session. */
export function astro6(tree: string): void {
  replace(tree, "test/adapters/astro-pages.ts", '["immutable", 303],', "");
}

/** SvelteKit 2 takes its settings from a file of its own, and `building` from another module. */
export function svelteKit2(tree: string): void {
  for (const [folder, out, outDir] of [
    ["examples/sveltekit", "dist", "node_modules/.svelte-kit"],
    ["test/adapters/sveltekit-app", "dist/node", "dist/kit"],
  ] as const) {
    const settings = `{ adapter: adapter({ out: "${out}" }), outDir: "${outDir}" }`;
    replace(tree, `${folder}/vite.config.js`, `sveltekit(${settings})`, "sveltekit()");
    replace(tree, `${folder}/vite.config.js`, 'import adapter from "@sveltejs/adapter-node";\n', "");
    writeFileSync(
      join(tree, folder, "svelte.config.js"),
      `import adapter from "@sveltejs/adapter-node";\n\nexport default { kit: ${settings} };\n`,
    );
  }
  replace(tree, "examples/sveltekit/src/sessions.server.js", '"$app/env"', '"$app/environment"');
  replace(tree, "test/adapters/sveltekit-app/src/hooks.server.js", '"$app/env"', '"$app/environment"');
  // It lets a POST without a content type through to the endpoint of device-bound sessions, which refuses it itself.
  replace(tree, "test/adapters/sveltekit-pages.ts", "of [{}, {", "of [{");
}
