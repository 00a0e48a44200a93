import { fileURLToPath } from "node:url";

const cached = [
  { key: "Cache-Control", value: "public, max-age=60" },
  { key: "CDN-Cache-Control", value: "max-age=60" },
];

export default {
  distDir: "dist",
  compress: false, // which would add to the Vary header that the tests look at
  outputFileTracingRoot: fileURLToPath(new URL("../../..", import.meta.url)),
  headers: async () => ["/config-route", "/config-page"].map((source) => ({ source, headers: cached })),
};
