import { describe, expect, test } from "vitest";
import { decodeCheckpoint } from "../../src/audit/checkpoint.ts";
import { migrate } from "../../src/store/migrate.ts";
import { databases } from "../servers/databases.ts";
import { misnamed, Victim } from "./tampering.ts";
import { login, world } from "./world.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";

const ROUNDS = Number(process.env["TEST_TAMPERINGS"] ?? 150);

describe.each(databases)("audit trail on $name", (database) => {
  test(
    `R49: ${ROUNDS} random tamperings by SQL → each is detected, named and dated`,
    async () => {
      await using created = await database.createStore();
      await migrate(created.store);
      const it = world();
      const trails = [created.store, created.another(), created.another()].map((store) =>
        it.trail(store, { checkpointEvery: "1 h" }),
      );
      const signer = trails[0]!;
      const covered = new Map<string, number>();
      const anchors = new Map<number, string>();
      const write = async (events: number): Promise<void> => {
        for (let event = 0; event < events; event++) {
          it.now += 1_000;
          await trails[event % trails.length]!.record(login(`user ${event % 4}`), { type: "login.failed" });
        }
      };
      for (let round = 0; round < 4; round++) {
        await write(9);
        it.now += 1_000;
        const anchored = (await signer.checkpoint())!;
        anchors.set(anchored.number, anchored.hash);
        for (const { chain, number } of decodeCheckpoint(Buffer.from(anchored.body, "base64"))!.heads) {
          covered.set(Buffer.from(chain).toString("hex"), number);
        }
      }
      await write(6);

      expect(await signer.verify({ anchors })).toMatchObject({ ok: true, problems: [], chains: 3 });
      const victim = await Victim.of(created.store as SqlStore, covered);
      const wrong: string[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const tampering = await victim.tamper();
        const problem = misnamed(tampering, await signer.verify({ anchors }));
        if (problem !== null) wrong.push(problem);
        await victim.restore();
      }
      expect(wrong).toEqual([]);
      expect(await signer.verify({ anchors })).toMatchObject({ ok: true });
      for (const trail of trails) await trail.close();
    },
    ROUNDS * 1_000 + 60_000,
  );
});
