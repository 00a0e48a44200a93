import { library as authjs, type StoredAuthjsSession } from "../../adapters/authjs-entry.ts";
import { kindOf, library as betterAuth } from "../../adapters/better-auth/keys.ts";
import { AuthReader, type AuthTables } from "./auth-reader.ts";
import type { Library } from "./library.ts";

const databases = ["sqlite", "postgres", "mysql", "mariadb"] as const;

/**
 * better-auth keeps a session as columns; its secondary storage has session and user as JSON. Only what better-auth and its own
 * plugins define is imported unless `--fields` names more: it sends every property of a session to the browser.
 */
export const betterAuthTables: AuthTables = {
  name: "better-auth",
  databases,
  tables: ["session", "sessions", "Session"],
  token: "token",
  end: "expiresAt",
  fields: [
    "id",
    "token",
    "userId",
    "expiresAt",
    "createdAt",
    "updatedAt",
    "ipAddress",
    "userAgent",
    "activeOrganizationId",
    "activeTeamId",
    "impersonatedBy",
  ],
  required: ["id", "createdAt", "updatedAt"],
  users: {
    tables: ["user", "users", "User"],
    fields: [
      "id",
      "name",
      "email",
      "emailVerified",
      "image",
      "createdAt",
      "updatedAt",
      "role",
      "banned",
      "banReason",
      "banExpires",
      "username",
      "displayUsername",
      "phoneNumber",
      "phoneNumberVerified",
      "twoFactorEnabled",
      "isAnonymous",
      "lastLoginMethod",
    ],
    required: ["email", "emailVerified"],
  },
  unreadable: (token) =>
    kindOf(token) === "session"
      ? undefined
      : "better-auth's storage does not take its token for a session: it is short, or has other characters than better-auth's",
  dataOf: ({ sid, text }) => ({ [betterAuth]: { key: sid, value: text } }),
};

const authjsTables: AuthTables = {
  name: "authjs",
  databases,
  tables: ["sessions", "session", "Session"],
  token: "sessionToken",
  end: "expires",
  fields: ["sessionToken", "userId", "expires"],
  required: [],
  dataOf({ sid }, { session }) {
    const { sessionToken: _token, expires, ...others } = session as Record<string, unknown>;
    const value = { ...others, expires: new Date(expires as string) } as unknown as StoredAuthjsSession;
    return { [authjs]: { key: sid, value } };
  },
};

export const authLibraries: readonly Library[] = [betterAuthTables, authjsTables].map((tables) => ({
  name: tables.name,
  from: "database",
  takes: ["fields", "fromTable", ...(tables.users === undefined ? [] : (["userTable"] as const))],
  listed: tables === betterAuthTables,
  open: ({ from, options, cwd }) =>
    new AuthReader(tables, {
      url: from,
      cwd,
      table: options.fromTable,
      userTable: options.userTable,
      fields: options.fields ?? [],
    }),
}));
