import { expect, test } from "vitest";
import { railsFlash } from "./flash.ts";
import { RubyIndifferentHash, symbolHash } from "./types.ts";

/** What the next request loads. */
const next = (data: Record<string, unknown>): Record<string, unknown> => structuredClone(data);

test("a notice → shown in the next request, then gone", () => {
  const post: Record<string, unknown> = { user_id: 42 };
  railsFlash(post).notice = "Saved.";
  expect(post).toEqual({ user_id: 42, flash: { discard: [], flashes: { notice: "Saved." } } });

  const show = next(post);
  expect(railsFlash(show).notice).toBe("Saved.");
  expect(railsFlash(show).notice, "asking twice does not sweep twice").toBe("Saved.");
  expect(show).toEqual({ user_id: 42 });
  expect(railsFlash(next(show)).notice).toBeUndefined();
});

test("a request that does not read the flash → the flash stays", () => {
  const data = { flash: { discard: [], flashes: { alert: "No." } } };
  expect(railsFlash(next(next(data))).alert).toBe("No.");
});

test("keep → all messages, or one, stay for another request", () => {
  const stored = { flash: { discard: [], flashes: { notice: "a", alert: "b" } } };
  const all = next(stored);
  railsFlash(all).keep();
  expect(all).toEqual(stored);
  const one = next(stored);
  railsFlash(one).keep("alert");
  expect(one).toEqual({ flash: { discard: [], flashes: { alert: "b" } } });
  railsFlash(one).discard("alert");
  expect(one).toEqual({});
});

test("now → shown in this request only", () => {
  const data: Record<string, unknown> = {};
  railsFlash(data).now("notice", "Look");
  expect(railsFlash(data).entries()).toEqual([["notice", "Look"]]);
  expect(data).toEqual({});
  railsFlash(data).set("notice", "Later");
  expect(data).toEqual({ flash: { discard: [], flashes: { notice: "Later" } } });
});

test("messages that the stored flash discards → dropped at once", () => {
  const data: Record<string, unknown> = {
    flash: { discard: ["notice"], flashes: { notice: "old", alert: "b" } },
  };
  const flash = railsFlash(data);
  expect(flash.has("notice")).toBe(false);
  expect(flash.entries()).toEqual([["alert", "b"]]);
});

test("delete, clear and discard of all → no messages", () => {
  const data: Record<string, unknown> = {};
  const flash = railsFlash(data);
  flash.set("a", 1);
  flash.set("b", 2);
  flash.delete("a");
  expect(data["flash"]).toEqual({ discard: [], flashes: { b: 2 } });
  flash.discard();
  expect(data).toEqual({});
  expect(flash.get("b")).toBe(2);
  flash.keep();
  flash.clear();
  expect(data).toEqual({});
});

test("another request adds a message meanwhile → a change leaves it alone", () => {
  const data: Record<string, unknown> = { flash: { discard: [], flashes: { notice: "old", kept: 1 } } };
  const flash = railsFlash(data);
  flash.keep("kept");
  // A commit merges what others stored since the load.
  data["flash"] = { discard: [], flashes: { kept: 1, theirs: "hello" } };
  flash.alert = "mine";
  flash.now("here", 1);
  expect(data["flash"]).toEqual({ discard: [], flashes: { kept: 1, theirs: "hello", alert: "mine" } });
  flash.delete("alert");
  flash.discard("kept");
  expect(data["flash"]).toEqual({ discard: [], flashes: { theirs: "hello" } });
  flash.keep("no such flash");
  flash.clear();
  expect(data["flash"]).toEqual({ discard: [], flashes: { theirs: "hello" } });
  expect(flash.entries()).toEqual([]);
});

test("other forms → read; nonsense → an empty flash (R46)", () => {
  const hash = new RubyIndifferentHash([["flashes", symbolHash({ notice: "x" })]]);
  expect(railsFlash({ flash: hash }).notice).toBe("x");
  for (const flash of [null, 1, "x", [], { flashes: [1] }, { discard: {} }]) {
    const data: Record<string, unknown> = { flash };
    expect(railsFlash(data).entries()).toEqual([]);
    expect(data).toEqual({});
  }
  const data: Record<string, unknown> = {};
  railsFlash(data).set("__proto__", { admin: true });
  expect((data["flash"] as { flashes: unknown }).flashes).toBeInstanceOf(Map);
});
