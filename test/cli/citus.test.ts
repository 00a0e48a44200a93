/** What `check` says of a Citus cluster, by a stand-in for its functions and its catalog. */
import { describe, expect, test } from "vitest";
import { citusStandIn } from "../servers/citus-stand-in.ts";
import { databases } from "../servers/databases.ts";
import { Folder } from "./command.ts";
import { testKeys } from "../session/doubles.ts";

const postgres = databases.find(({ kind }) => kind === "postgres");
const sound =
  '{"synchronous_commit":"on","synchronous_standby_names":"","fsync":"on","full_page_writes":"on"}';

describe.skipIf(postgres === undefined)("check on Citus", () => {
  test("a worker with fsync off, one that does not answer, and many shards → a warning each, and --strict fails", async () => {
    await using standIn = await citusStandIn(postgres!.url!, 32);
    await standIn.run(
      `INSERT INTO stand_in_workers VALUES ('w1', 5432, true, '${sound}'), ('w2', 5432, true, '${sound.replace('"fsync":"on"', '"fsync":"off"')}'), ('w3', 5432, false, 'connection refused')`,
    );
    const folder = new Folder();
    folder.env["STORED_SESSION_KEYS"] = testKeys;
    const where = ["-d", standIn.url, "--table", standIn.created.table];
    const told = async (about: string, level: string): Promise<string[]> => {
      const { findings } = await folder.json("check", ...where);
      return findings
        .filter((finding: any) => finding.about === about && finding.level === level)
        .map(({ message }: any) => message);
    };
    try {
      const weak = (await told("Durability", "warning")).join("\n");
      expect(weak).toContain("fsync of w2:5432 is off");
      expect(weak).toContain("the worker w3:5432 is unreachable (connection refused)");
      expect(weak).not.toContain("w1:5432");
      expect(await told("Shards", "warning")).toEqual([expect.stringMatching(/^32 shards on 3 workers/)]);
      expect((await folder.run("check", "--strict", ...where)).code).toBe(1);
      await standIn.run("DELETE FROM stand_in_workers WHERE nodename <> 'w1'");
      await standIn.run(
        `INSERT INTO stand_in_workers SELECT 'v' || n, 5432, true, '${sound}' FROM generate_series(1, 3) n`,
      );
      expect(await told("Shards", "good")).toEqual(["32 shards on 4 workers"]);
      expect((await told("Durability", "warning")).join()).not.toMatch(/ of [vw]\d/);
    } finally {
      folder.remove();
    }
  });
});
