import { randomBytes } from "node:crypto";
import type { Candidate } from "./candidate.ts";
import { contentOf, nextVisit } from "./sample.ts";
import type { Content } from "./sample.ts";

/** What a client library does without any store: prepared statements by primary key, the session as JSON text. */
export interface BareStatements {
  select(id: Buffer): Promise<string>;
  insert(id: Buffer, data: string, expiresAt: number): Promise<unknown>;
  update(id: Buffer, data: string, expiresAt: number): Promise<unknown>;
  touch(id: Buffer, expiresAt: number): Promise<unknown>;
  bytes(): Promise<number | null>;
  fill?(rows: number): Promise<number>;
  close(): Promise<void>;
}

export function bare(
  statements: BareStatements,
  options: { name: string; pid: number | null; size: number },
): Candidate {
  const ids: Buffer[] = [];
  const loaded: Content[] = [];
  const save = (place: number): Promise<unknown> => {
    const session = loaded[place] as Content;
    session.visits = nextVisit(session.visits);
    return statements.update(ids[place] as Buffer, JSON.stringify(session), Date.now());
  };
  return {
    name: options.name,
    pid: options.pid,
    create(place) {
      ids[place] = randomBytes(32);
      loaded[place] = contentOf(options.size);
      return statements.insert(ids[place] as Buffer, JSON.stringify(loaded[place]), Date.now());
    },
    read: async (place) => JSON.parse(await statements.select(ids[place] as Buffer)) as unknown,
    write: save,
    async change(place) {
      loaded[place] = JSON.parse(await statements.select(ids[place] as Buffer)) as Content;
      await save(place);
    },
    touch: (place) => statements.touch(ids[place] as Buffer, Date.now()),
    bytes: statements.bytes,
    ...(statements.fill && { fill: statements.fill }),
    close: statements.close,
  };
}
