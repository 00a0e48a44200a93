import { tanstackStart } from "@tanstack/react-start/plugin/vite";
import { defineConfig } from "vite";

// Prerenders /static, for which the build requests it like a visitor.
export default defineConfig({
  plugins: [
    tanstackStart({
      prerender: { enabled: true, autoStaticPathsDiscovery: false, crawlLinks: false },
      pages: [{ path: "/static" }],
    }),
  ],
});
