/**
 * The trail as it is stored, one JSON object a line: what `audit verify` reads offline. Content stays sealed, so a copy gives
 * away no more than the database does.
 */
import { AuditError } from "../errors.ts";
import {
  chainOf,
  numberOf,
  positionOf,
  type AuditCheckpoint,
  type AuditRow,
  type AuditStore,
} from "../store/audit.ts";
import { keyOf } from "../shared/bytes.ts";
import { decodeCheckpoint, kindCode, type Head } from "./checkpoint.ts";
import { checkpointPages, eventPages } from "./pages.ts";

const FORMAT = 1;
const PAGE = 1_000;

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const bytes = (value: unknown): Uint8Array => new Uint8Array(Buffer.from(String(value), "base64url"));

export function eventLine(row: AuditRow): string {
  const { at, event, outcome, device, amount, session, subject, body, hash, mac } = row;
  const chain = text(chainOf(row.position));
  return JSON.stringify({
    audit: FORMAT,
    chain,
    number: numberOf(row.position),
    at,
    event,
    outcome,
    device,
    amount,
    session: session && text(session),
    subject: subject && text(subject),
    body: text(body),
    hash: text(hash),
    mac: text(mac),
  });
}

export function checkpointLine({ number, at, kind, body, signature }: AuditCheckpoint): string {
  return JSON.stringify({
    audit: FORMAT,
    checkpoint: number,
    at,
    kind,
    body: text(body),
    signature: text(signature),
  });
}

/**
 * An event or a checkpoint of a line. Null for an empty line.
 * @throws {AuditError} the line is something else
 */
export function readLine(line: string): { event: AuditRow } | { checkpoint: AuditCheckpoint } | null {
  if (line.trim() === "") return null;
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(line) as Record<string, unknown>;
  } catch (cause) {
    throw new AuditError("A line of the export is not JSON. Check whether the file is complete.", { cause });
  }
  if (value["audit"] !== FORMAT) {
    throw new AuditError(
      'The file is not an export in the format "raw", and only that can be verified. Export with --format raw.',
    );
  }
  const number = (name: string): number => Number(value[name]);
  if (value["checkpoint"] !== undefined) {
    const [body, signature] = [bytes(value["body"]), bytes(value["signature"])];
    return {
      checkpoint: { number: number("checkpoint"), at: number("at"), kind: number("kind"), body, signature },
    };
  }
  const optional = (name: string): Uint8Array | null => (value[name] === null ? null : bytes(value[name]));
  const chain = new Uint8Array(24);
  chain.set(bytes(value["chain"]).subarray(0, 24));
  return {
    event: {
      position: positionOf(chain, number("number")),
      at: number("at"),
      event: number("event"),
      outcome: number("outcome"),
      device: number("device"),
      amount: number("amount"),
      session: optional("session"),
      subject: optional("subject"),
      body: bytes(value["body"]),
      hash: bytes(value["hash"]),
      mac: bytes(value["mac"]),
    },
  };
}

/**
 * Everything: the events in order of position, then the checkpoints, so that there are the events of each. It may run while
 * events are written and pruned.
 */
export async function* rawLines(store: AuditStore): AsyncGenerator<string> {
  let { number: newest = 0 } = (await store.lastCheckpoint()) ?? {};
  const ends = new Map<string, number>();
  const take = (row: AuditRow): string => {
    ends.set(keyOf(chainOf(row.position)), numberOf(row.position));
    return eventLine(row);
  };
  for await (const { rows } of eventPages(store, new Uint8Array(32), new Uint8Array(32).fill(255), PAGE))
    for (const row of rows) yield take(row);
  // Events that were pruned meanwhile would look as if they were missing, without the record that says so.
  for (let record = await prunedAfter(store, newest); record !== null;) {
    for await (const { chain, number } of headsBetween(store, newest, record)) {
      const end = ends.get(keyOf(chain)) ?? 0;
      if (end >= number) continue;
      const [from, through] = [positionOf(chain, end), positionOf(chain, number)];
      for await (const { rows } of eventPages(store, from, through, PAGE))
        for (const row of rows) yield take(row);
    }
    newest = record;
    record = await prunedAfter(store, newest);
  }
  for await (const { rows } of checkpointPages(store, 0, PAGE)) {
    for (const checkpoint of rows) {
      if (checkpoint.number > newest) return;
      yield checkpointLine(checkpoint);
    }
  }
}

/** The last record of pruning behind a checkpoint. */
async function prunedAfter(store: AuditStore, newest: number): Promise<number | null> {
  const last = await store.lastCheckpoint(kindCode("pruned"));
  return last !== null && last.number > newest ? last.number : null;
}

/** What the checkpoints say of chains. */
async function* headsBetween(store: AuditStore, after: number, through: number): AsyncGenerator<Head> {
  for await (const { rows } of checkpointPages(store, after, PAGE)) {
    for (const { number, body } of rows) {
      if (number > through) return;
      const content = decodeCheckpoint(body);
      if (content !== null && content.kind !== "pruned") yield* content.heads;
    }
  }
}
