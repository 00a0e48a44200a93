import { expect, test } from "vitest";
import { OptionsError } from "../errors.ts";
import { fromRailsUrl } from "./url.ts";

const ssl = (value: object) => `ssl=${encodeURIComponent(JSON.stringify(value))}`;

test("addresses as Rails writes them → the parts of the connection", () => {
  const cases = {
    "mysql2://u:p@db/app": "mysql://u:p@db/app",
    "trilogy://u:p@db/app?pool=5&ssl_mode=required&encoding=utf8mb4": `mysql://u:p@db/app?${ssl({ rejectUnauthorized: false })}`,
    "mysql2://db/app?ssl_mode=VERIFY_IDENTITY": `mysql://db/app?${ssl({ rejectUnauthorized: true, verifyIdentity: true })}`,
    "mysql2://db/app?ssl_mode=verify_ca": `mysql://db/app?${ssl({ rejectUnauthorized: true })}`,
    "mysql2://db/app?ssl_mode=preferred": "mysql://db/app",
    "mysql2://db/app?ssl_mode=disabled": "mysql://db/app",
    "mysql2://db/app?ssl={}": "mysql://db/app?ssl={}",
    "mysql2://u:p@db/app?pool=5": "mysql://u:p@db/app",
    "sqlite3:storage/production.sqlite3": "storage/production.sqlite3",
    "sqlite3:/srv/app/production.sqlite3?pool=5&timeout=5000": "/srv/app/production.sqlite3",
    "sqlite3:///srv/app/production.sqlite3": "/srv/app/production.sqlite3",
    "sqlite3://localhost/srv/production.sqlite3": "/srv/production.sqlite3",
    "postgresql://db/app?pool=5": "postgresql://db/app?pool=5",
    "mysql://db/app": "mysql://db/app",
    "sqlite:app.sqlite3": "sqlite:app.sqlite3",
    "app.sqlite3": "app.sqlite3",
  };
  for (const [given, expected] of Object.entries(cases)) expect(fromRailsUrl(given)).toBe(expected);
});

test("a Rails URL requires TLS in a way that mysql2 does not support → refused, without its password", () => {
  for (const option of ["sslca=/etc/ca.pem", "ssl_mode=strange", "ssl-mode=REQUIRED", "sslverify=true"]) {
    const make = () => fromRailsUrl(`mysql2://anna:hidden@db/app?pool=5&${option}`);
    expect(make).toThrow(OptionsError);
    expect(make).toThrow(`mysql2 does not support ${option.split("=")[0]}=…`);
    expect(make).not.toThrow(/hidden/);
  }
});

test("a setting in the address → passed to mysql2 as written", async () => {
  const { createPool } = await import("mysql2");
  const pool = createPool({ uri: fromRailsUrl("mysql2://db/app?ssl_mode=verify_identity") });
  const { ssl: taken } = (pool as unknown as { config: { connectionConfig: { ssl: object } } }).config
    .connectionConfig;
  expect(taken).toEqual({ rejectUnauthorized: true, verifyIdentity: true });
  pool.end();
});
