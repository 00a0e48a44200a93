import { join } from "node:path";
import { beforeAll, describe } from "vitest";
import { kept, shareManager, takeKept } from "../../src/adapters/shared-manager.ts";
import { contractError, contractFresh, contractHeaders } from "../../src/testing/index.ts";
import { astroPages } from "./astro-pages.ts";
import { buildAstro, serveAstro } from "./astro-server.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";
import { running } from "./server.ts";

const dir = join(import.meta.dirname, "astro-app");
const world = globalThis as Record<string, unknown>;
let serve: Awaited<ReturnType<typeof serveAstro>>;

beforeAll(async () => {
  buildAstro(dir);
  Object.assign(world, { contractError, contractFresh });
  serve = await serveAstro(dir);
}, 180_000);

adapterOnEachDatabase("astro", {
  async start(contract) {
    world["contractApp"] = contract;
    takeKept("astro session");
    kept("astro session", () => shareManager(contract.sessions));
    return running(
      serve((response) => {
        for (const [name, value] of Object.entries(contractHeaders)) response.setHeader(name, value);
      }),
    );
  },
});

describe("pages", () => astroPages(() => running(serve())));
