import { join } from "node:path";
import { beforeAll, describe } from "vitest";
import { kept, shareManager, takeKept } from "../../src/adapters/shared-manager.ts";
import { contractError, contractFresh, contractHeaders } from "../../src/testing/index.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";
import { running } from "./server.ts";
import { tanStackPages } from "./tanstack-pages.ts";
import { buildTanStackStart, serveTanStackStart } from "./tanstack-server.ts";

const dir = join(import.meta.dirname, "tanstack-app");
const world = globalThis as Record<string, unknown>;
let serve: Awaited<ReturnType<typeof serveTanStackStart>>;

beforeAll(async () => {
  buildTanStackStart(dir);
  Object.assign(world, { contractError, contractFresh, contractHeaders });
  serve = await serveTanStackStart(dir);
}, 180_000);

adapterOnEachDatabase("tanstack-start", {
  async start(contract) {
    world["contractApp"] = contract;
    takeKept("tanstack-start sessions");
    kept("tanstack-start sessions", () => shareManager(contract.sessions));
    return running(serve());
  },
});

describe("pages", () => tanStackPages(() => running(serve())));
