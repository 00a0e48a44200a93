import { join } from "node:path";
import { beforeAll, describe } from "vitest";
import { sharedManager } from "../../src/adapters/next/shared.ts";
import { contractError, contractFresh, contractHeaders } from "../../src/testing/index.ts";
import { nextDashboard } from "./next-dashboard.ts";
import { nextPages } from "./next-pages.ts";
import { buildNext, serveNext } from "./next-server.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";
import { running } from "./server.ts";

const dir = join(import.meta.dirname, "next-app");
const world = globalThis as Record<string, unknown>;
let serve: Awaited<ReturnType<typeof serveNext>>;
let count = 0;

// The example of examples/next is built by Turbopack.
beforeAll(async () => {
  buildNext(dir, ["--webpack"]);
  Object.assign(world, { contractError, contractFresh });
  serve = await serveNext(dir);
}, 180_000);

adapterOnEachDatabase("next", {
  variesBy: ["rsc", "next-router-state-tree", "next-router-prefetch", "next-router-segment-prefetch"],
  async start(contract) {
    const managerName = `contract ${count++}`;
    sharedManager(managerName, () => contract.sessions);
    Object.assign(world, { contractApp: contract, managerName });
    return running(
      serve((response) => {
        for (const [name, value] of Object.entries(contractHeaders)) response.setHeader(name, value);
      }),
    );
  },
});

describe("pages", () => nextPages(() => running(serve())));

describe("dashboard", () => nextDashboard(() => running(serve())));
