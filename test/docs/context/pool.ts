// The module that documentation pages import as "./pool.ts": a pool of connections.
import pg from "pg";

export const pool = new pg.Pool({ connectionString: process.env["DATABASE_URL"] });
