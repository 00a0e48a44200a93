import { expect, test } from "vitest";
import { fromRailsUrl } from "./url.ts";

test("addresses of Rails", () => {
  const cases = {
    "mysql2://u:p@db/app": "mysql://u:p@db/app",
    "trilogy://u:p@db/app?pool=5&ssl_mode=required&encoding=utf8mb4": "mysql://u:p@db/app?ssl_mode=required",
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
