/** A database of a test's own, where the tables can have their usual names. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject } from "vitest";
import { execute } from "../servers/execute.ts";
import { type DatabaseName } from "../servers/chosen.ts";
import type {} from "../servers/global-setup.ts";
import type { Place } from "../session/place.ts";

export interface OwnDatabase extends AsyncDisposable {
  readonly place: Place;
  /** As in STORED_SESSION_DATABASE_URL. */
  readonly url: string;
  /** Its name on the server. */
  readonly name: string;
}

export async function ownDatabase(kind: DatabaseName): Promise<OwnDatabase> {
  if (kind === "sqlite") {
    const folder = mkdtempSync(join(tmpdir(), "stored-session-guide-"));
    const at = join(folder, "sessions.sqlite3");
    const remove = async () => rmSync(folder, { recursive: true, force: true });
    return { place: { kind, at }, url: `sqlite:${at}`, name: at, [Symbol.asyncDispose]: remove };
  }
  const server = inject("servers")[kind]!;
  const name = `guide_${randomBytes(6).toString("hex")}`;
  await execute(server, kind, `CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    place: { kind, at: url.href },
    url: url.href,
    name,
    async [Symbol.asyncDispose]() {
      await execute(server, kind, `DROP DATABASE ${name}`);
    },
  };
}
