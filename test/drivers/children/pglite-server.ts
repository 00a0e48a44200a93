/** PGlite with its data in a folder, over its socket: `pglite-server.ts FOLDER PORT`. Tells when it listens. */
import { PGlite } from "@electric-sql/pglite";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";

const [folder, port] = process.argv.slice(2) as [string, string];
const db = await PGlite.create({ dataDir: folder });
const server = new PGLiteSocketServer({ db, port: Number(port), maxConnections: 4 });
await server.start();
console.log("listening");
