import assert from "node:assert/strict";
import { describe, test } from "vitest";
import { openStore, withoutPassword } from "./store-url.ts";

describe("an address in a message", () => {
  test("R28 a URL → scheme, host and database are shown, never a password", () => {
    for (const [url, shown] of [
      ["postgres://user:SECRET@host/app", "postgres://host/app"],
      ["postgres://user:SECRET@host:5432/app", "postgres://host:5432/app"],
      ["mysql://user:SECRET@[::1]:3306/app", "mysql://[::1]:3306/app"],
      ["postgres://user:p@SECRET@host/app", "postgres://host/app"],
      ["postgres://host/app?user=user&password=SECRET", "postgres://host/app"],
      ["postgres:///app?host=/run/postgresql&password=SECRET", "postgres:///app"],
      ["postgres://one:5432,two:5432/app", "postgres://one:5432,two:5432/app"],
      ["postgres://user:p/SECRET@host/app", "postgres://…"],
      ["postgres://user:1/SECRET@host/app", "postgres://…"],
      ["postgres://user:1?SECRET@host/app", "postgres://…"],
      ["postgres://user:1#SECRET@host/app", "postgres://…"],
      ["postgres://user:p@x?SECRET@host/app", "postgres://…"],
      ["postgres://host/app?password=SECRET@1", "postgres://…"],
      ["postgres://user:SECRET", "postgres://…"],
      ["postgres:user:SECRET@host", "postgres://…"],
      ["user:SECRET@host/app", "user://…"],
      ["mongodb+srv://user:SECRET@host/app", "mongodb+srv://host/app"],
      ["sqlite:sessions.sqlite3", "sqlite:sessions.sqlite3"],
      ["stored-session.config.ts", "stored-session.config.ts"],
    ] as const) {
      assert.equal(withoutPassword(url), shown);
    }
    assert.equal(openStore("postgres://u:p@SECRET@host/app", undefined, "/").label, "postgres://host/app");
  });

  test("a Windows drive letter → not a scheme", () => {
    const path = "C:\\data\\sessions.sqlite3";
    assert.ok(openStore(path, undefined, "/srv").label.endsWith(path));
    assert.equal(openStore("sqlite:sessions.sqlite3", undefined, "/srv").label, "/srv/sessions.sqlite3");
  });
});
