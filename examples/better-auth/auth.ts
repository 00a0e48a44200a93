import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { DatabaseSync } from "node:sqlite";
import { storedSessionStorage } from "stored-session/better-auth";
import { file, sessions } from "./sessions.ts";

export const password = "a password for the demo";

const secret = process.env["BETTER_AUTH_SECRET"] ?? "a secret for the demo, of 32 characters or more";

export const auth = betterAuth({
  baseURL: process.env["BASE_URL"] ?? "http://localhost:3000",
  secret,
  database: new DatabaseSync(`${file}.users`), // users and accounts
  secondaryStorage: storedSessionStorage(sessions), // sessions, verification values, rate limits
  emailAndPassword: { enabled: true, autoSignIn: false },
  telemetry: { enabled: false },
});

export async function createUsers(): Promise<void> {
  await (await getMigrations(auth.options)).runMigrations();
  const { internalAdapter } = await auth.$context;
  for (const name of ["ada", "ben"]) {
    const email = `${name}@example.com`;
    if ((await internalAdapter.findUserByEmail(email)) === null)
      await auth.api.signUpEmail({ body: { name, email, password } });
  }
}
