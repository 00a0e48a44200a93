import type { Profiler } from "node:inspector";
import { expect, test } from "vitest";
import { budgetOf } from "../../benchmarks/peers/budget.ts";

type Stack = readonly [name: string, url: string][];

/** A profile with a sample of 1 ms for each stack, the innermost frame last. */
function profileOf(...stacks: Stack[]): Profiler.Profile {
  const nodes: Profiler.ProfileNode[] = [];
  const add = (functionName: string, url: string): Profiler.ProfileNode => {
    const callFrame = { functionName, url, scriptId: "0", lineNumber: 0, columnNumber: 0 };
    const node: Profiler.ProfileNode = { id: nodes.length + 1, callFrame, children: [] };
    nodes.push(node);
    return node;
  };
  const root = add("(root)", "");
  const samples = stacks.map((stack) => {
    let at = root;
    for (const [name, url] of stack) {
      const child = add(name, url);
      at.children!.push(child.id);
      at = child;
    }
    return at.id;
  });
  return { nodes, startTime: 0, endTime: 0, samples, timeDeltas: samples.map(() => 1_000) };
}

const src = (file: string): string => `file:///package/src/${file}`;

test("budget: a frame of Node → belongs to the part that called it", () => {
  const profile = profileOf(
    [
      ["handler", "file:///package/benchmarks/peers/http-server.ts"],
      ["open", src("session/native-format.ts")],
      ["#open", src("sealing/sealer.ts")],
      ["derive", src("sealing/sealer.ts")],
      ["of", src("sealing/hmac.ts")],
      ["hash", "node:internal/crypto/hash"],
    ],
    [
      ["readToken", src("session/token.ts")],
      ["of", src("sealing/hmac.ts")],
    ],
    [["(garbage collector)", ""]],
    [["(program)", ""]],
  );
  const budget = budgetOf(profile, 40);
  expect(budget).toMatchObject({
    decryption: 10,
    token: 10,
    "garbage collection": 10,
    "Node, other": 10,
    application: 0,
  });
});

test("budget: encoding → belongs to the detection of changes or to the commit, as its caller does", () => {
  const encode: Stack = [
    ["encode", src("codec/codec.ts")],
    ["content", src("codec/writer.ts")],
  ];
  const budget = budgetOf(
    profileOf(
      [["isUnchanged", src("session/unchanged.ts")], ...encode],
      [["prepared", src("session/commit.ts")], ...encode],
      [
        ["get content", src("session/state.ts")],
        ["decode", src("codec/codec.ts")],
        ["map", src("codec/reader.ts")],
      ],
    ),
    3,
  );
  expect(budget).toMatchObject({ "change detection": 1, commit: 1, decoding: 1 });
});

test("budget: the drop-in store compares a session → belongs to the detection of changes", () => {
  const profile = profileOf([
    ["touchUnchanged", src("adapters/drop-in/drop-in-sessions.ts")],
    ["encodesTo", src("session/native-format.ts")],
    ["encodesTo", src("codec/codec.ts")],
    ["content", src("codec/writer.ts")],
  ]);
  expect(budgetOf(profile, 5)["change detection"]).toBe(5);
});

test("budget: what other libraries sign cookies with, and their drivers → token and statement, not the application", () => {
  const of = (path: string): string => `file:///package/benchmarks/node_modules/${path}`;
  const handler = ["handle", of("express/lib/application.js")] as const;
  const parts = (path: string) => {
    const budget = budgetOf(profileOf([[...handler], ["work", of(path)]]), 1);
    return Object.entries(budget).flatMap(([part, time]) => (time > 0 ? [part] : []));
  };
  expect(parts("cookie-signature/index.js")).toEqual(["token"]);
  expect(parts("keygrip/index.js")).toEqual(["token"]);
  expect(parts("better-sqlite3/lib/database.js")).toEqual(["statement"]);
  expect(parts("knex/lib/client.js")).toEqual(["statement"]);
  expect(parts("express-mysql-session/index.js")).toEqual(["session, other"]);
  expect(parts("better-sqlite3-session-store/src/index.js")).toEqual(["session, other"]);
  expect(parts("router/index.js")).toEqual(["application"]);
});

test("budget: idle time → counts for nothing", () => {
  const profile = profileOf([["(idle)", ""]], [["run", src("sql/postgres/driver.ts")]]);
  expect(budgetOf(profile, 50).statement).toBe(50);
});
