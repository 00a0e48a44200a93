import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { anchorsIn, newFile } from "../../src/cli/audit-files.ts";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "stored-session-files-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("audit prune --archive: before the events are deleted → every line is in the file", async () => {
  const path = join(folder, "old.ndjson");
  const out = newFile(path);
  for (let line = 0; line < 1_000; line++) await out.write(String(line));
  await out.sync();
  expect(readFileSync(path, "utf8").trim().split("\n")).toHaveLength(1_000);
  await out.end();
});

test.each(['{"number":2,"ha', "null", "[]", '{"number":2}'])(
  "audit verify --anchors: the line %s → says which line is not a checkpoint",
  async (line) => {
    const path = join(folder, "anchors.ndjson");
    writeFileSync(path, `{"number":1,"hash":"ab"}\n${line}\n`);
    await expect(anchorsIn(path)).rejects.toThrow(/^Line 2 of .*anchors\.ndjson is not a checkpoint/);
  },
);

test("audit verify --anchors: many lines with and without ends of Windows, and empty ones → read a line at a time", async () => {
  const path = join(folder, "anchors.ndjson");
  const lines = Array.from({ length: 5_000 }, (_, at) => JSON.stringify({ number: at + 1, hash: "ab" }));
  writeFileSync(path, `${lines.join("\r\n")}\n\n${JSON.stringify({ number: 5_001, hash: "cd" })}`);
  const anchors = await anchorsIn(path);
  expect([anchors.size, anchors.get(5_000), anchors.get(5_001)]).toEqual([5_001, "ab", "cd"]);
});
