import { fileURLToPath } from "node:url";

/** @type {import("next").NextConfig} */
export default {
  distDir: "dist",
  cacheComponents: true,
  partialPrefetching: true,
  // Only because this example belongs to a workspace.
  turbopack: { root: fileURLToPath(new URL("../..", import.meta.url)) },
};
