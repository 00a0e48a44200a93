/**
 * The suites of sessions once more, with the audit trail on: every login, change of id, logout, revocation and expiry is in
 * one transaction with its event.
 *
 * A part in memory and on SQLite. Everything, on all databases, with TEST_TRAIL=all (`npm run test:soak`).
 */
import { describe, vi } from "vitest";
import { isWhole } from "./whole.ts";

/** For the processes that a suite starts. */
process.env["TEST_TRAIL_ON"] = "1";

vi.mock(import("../../src/index.ts"), async (original) => {
  const core = await original();
  const create = core.createSessionManager as (options: {
    readonly store: { readonly audit?: unknown };
    readonly format?: unknown;
  }) => unknown;
  const createSessionManager = ((options: Parameters<typeof create>[0]) => {
    const isPossible = options.store.audit !== undefined && options.format === undefined;
    return create({ ...(isPossible && { audit: true }), ...options });
  }) as typeof core.createSessionManager;
  return { ...core, createSessionManager };
});

vi.mock(import("../servers/databases.ts"), async (original) => {
  const all = await original();
  return isWhole ? all : { ...all, databases: all.databases.filter(({ name }) => name === "sqlite") };
});

vi.mock(import("../servers/chosen.ts"), async (original) => {
  const all = await original();
  return isWhole
    ? all
    : { ...all, chosenDatabases: () => all.chosenDatabases().filter((name) => name === "sqlite") };
});

/** Without client-change.test.ts and revoke-everything.test.ts, which count what reaches the store. */
const suites = {
  "change-of-user": () => import("../session/change-of-user.test.ts"),
  "edited-rows": () => import("../session/edited-rows.test.ts"),
  "ended-elsewhere": () => import("../session/ended-elsewhere.test.ts"),
  "lost-updates": () => import("../session/lost-updates.test.ts"),
  outcomes: () => import("../session/outcomes.test.ts"),
  promises: () => import("../session/promises.test.ts"),
};

const further = {
  applications: () => import("../session/applications.test.ts"),
  "asked-meanwhile": () => import("../session/asked-meanwhile.test.ts"),
  "change-of-sealing": () => import("../session/change-of-sealing.test.ts"),
  clocks: () => import("../session/clocks.test.ts"),
  edges: () => import("../session/edges.test.ts"),
  elevation: () => import("../session/elevation.test.ts"),
  flash: () => import("../session/flash.test.ts"),
  "hot-session": () => import("../session/hot-session.test.ts"),
  links: () => import("../session/links.test.ts"),
  meanwhile: () => import("../session/meanwhile.test.ts"),
  opened: () => import("../session/opened.test.ts"),
  "outcomes-of-statements": () => import("../session/outcomes-of-statements.test.ts"),
  races: () => import("../session/races.test.ts"),
  releases: () => import("../session/releases.test.ts"),
  schedules: () => import("../session/schedules.test.ts"),
  tampering: () => import("../session/tampering.test.ts"),
  touches: () => import("../session/touches.test.ts"),
  "two-processes": () => import("../session/two-processes.test.ts"),
};

describe("with the audit trail", () => {
  for (const [name, load] of Object.entries({ ...suites, ...(isWhole && further) })) {
    describe(name, async () => void (await load()));
  }
});
