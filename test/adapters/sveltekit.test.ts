import { join } from "node:path";
import { beforeAll, describe } from "vitest";
import { kept, shareManager, takeKept } from "../../src/adapters/shared-manager.ts";
import { contractError, contractFresh, contractHeaders } from "../../src/testing/index.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";
import { running } from "./server.ts";
import { svelteKitPages } from "./sveltekit-pages.ts";
import { buildSvelteKit, serveSvelteKit } from "./sveltekit-server.ts";

const dir = join(import.meta.dirname, "sveltekit-app");
const world = globalThis as Record<string, unknown>;
let serve: Awaited<ReturnType<typeof serveSvelteKit>>;

beforeAll(async () => {
  buildSvelteKit(dir);
  Object.assign(world, { contractError, contractFresh, contractHeaders });
  serve = await serveSvelteKit(dir);
}, 180_000);

adapterOnEachDatabase("sveltekit", {
  async start(contract) {
    world["contractApp"] = contract;
    takeKept("sveltekit session");
    kept("sveltekit session", () => shareManager(contract.sessions));
    return running(serve());
  },
});

describe("pages", () => svelteKitPages(() => running(serve())));
