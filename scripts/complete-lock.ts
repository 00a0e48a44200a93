// Adds to package-lock.json the platform packages that a registry did not have when the lock file was written.
//
// npm leaves an optional package that it cannot fetch out of the lock file, and `npm ci` then refuses that file. Run
// this after `npm install` against a mirror that holds packages of one platform only: `node scripts/complete-lock.ts`.
import { readFileSync, writeFileSync } from "node:fs";

interface Package {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  optionalDependencies?: Record<string, string>;
  os?: string[];
  cpu?: string[];
  libc?: string[];
}

const file = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(file, "utf8")) as { packages: Record<string, Package> };
const systems = ["android", "darwin", "freebsd", "linux", "openharmony", "win32"];
const processors = ["arm64", "arm", "ia32", "loong64", "ppc64", "riscv64", "s390x", "x64"];
let added = 0;

for (const [path, { dev, optionalDependencies = {} }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const words = name.slice(name.indexOf("/")).split(/[-/]/);
    const os = systems.find((system) => words.includes(system));
    const cpu = processors.find((processor) => words.includes(processor));
    const exact = /^\d+\.\d+\.\d+\S*$/.test(version);
    const found = [`${path}/node_modules/${name}`, `node_modules/${name}`].some(
      (place) => place in lock.packages,
    );
    if (found || !exact || os === undefined) continue;
    lock.packages[`node_modules/${name}`] = {
      version,
      ...(cpu && { cpu: [cpu] }),
      ...(dev && { dev }),
      ...(words.includes("musl") && { libc: ["musl"] }),
      ...(words.includes("gnu") && { libc: ["glibc"] }),
      optional: true,
      os: [os],
    };
    added++;
  }
}

const places = Object.entries(lock.packages).toSorted(([a], [b]) => a.localeCompare(b, "en"));
lock.packages = Object.fromEntries(places);
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added} platform packages added`);
