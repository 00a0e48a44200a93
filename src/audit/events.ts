/** What is recorded. The codes are stored: docs/formats.md. */

/** Codes of events, below 1,000. A code is never used again for something else. */
export const eventCodes = {
  /** an anonymous session was stored, or one began with a login */
  "session.created": 1,
  login: 2,
  /** reported by the application */
  "login.failed": 3,
  elevation: 4,
  /** a session continues under a new id */
  "session.rotated": 5,
  logout: 6,
  /** an anonymous session was destroyed */
  "session.destroyed": 7,
  "session.revoked": 8,
  "session.expired.idle": 9,
  "session.expired.absolute": 10,
  /** ended to make room for another of the same user */
  "session.evicted": 11,
  /** cookies or rows that were refused, many in one event */
  refusal: 12,
  "client.changed": 13,
  /** a browser bound a session to a key of its device */
  "session.bound": 14,
  /** an operator looked at the content of a session */
  "data.revealed": 20,
  "data.exported": 21,
  "data.erased": 22,
  "key.added": 23,
  "key.retired": 24,
  "sessions.imported": 25,
  "trail.started": 30,
  "trail.stopped": 31,
  "trail.read": 32,
  "trail.pruned": 33,
  /** events that were not recorded, in `lax` mode */
  "trail.lost": 34,
  "trail.erased": 35,
} as const;

export type AuditEventType = keyof typeof eventCodes;

export const eventTypes: readonly AuditEventType[] = Object.keys(eventCodes) as AuditEventType[];

const typesByCode = new Map<number, AuditEventType>(eventTypes.map((type) => [eventCodes[type], type]));

export function typeOf(code: number): AuditEventType | null {
  return typesByCode.get(code) ?? null;
}

export const outcomeCodes = { success: 0, failure: 1, denied: 2, unknown: 3 } as const;

export type AuditOutcome = keyof typeof outcomeCodes;

const outcomes = Object.keys(outcomeCodes) as AuditOutcome[];

export function outcomeOf(code: number): AuditOutcome {
  return outcomes[code] ?? "unknown";
}

/** Kinds of devices, by their code. Coarse, so that counts of them say nothing about a person. */
export const devices = ["none", "desktop", "mobile", "tablet", "bot", "other"] as const;

export type AuditDevice = (typeof devices)[number];

/** What is sealed in an event. Never a token, a key or the value of a session. */
export interface AuditContent {
  /** Who did it, if it was not the user: an operator, a job, a service. */
  readonly actor?: string | undefined;
  readonly address?: string | undefined;
  readonly userAgent?: string | undefined;
  /** Connects the event with the application's own logs. */
  readonly requestId?: string | undefined;
  readonly reason?: string | undefined;
  /** How the user proved who they are, such as "password" or "passkey". */
  readonly method?: string | undefined;
  /** The assurance level of a login, as the application names it. */
  readonly level?: string | undefined;
  readonly factors?: readonly string[] | undefined;
  /** What somebody typed as their name in a login that failed, if there is no such user. */
  readonly identifier?: string | undefined;
  /** The handle of the session before its id changed. */
  readonly previous?: string | undefined;
  /** Anything else, as text. */
  readonly details?: Readonly<Record<string, string>> | undefined;
}

/** An event of the trail. */
export interface AuditEvent extends AuditContent {
  /** Names the event: its chain in base64url, ":" and its number in the chain. */
  readonly id: string;
  readonly type: AuditEventType | "unknown";
  readonly outcome: AuditOutcome;
  /** UTC. */
  readonly at: Date;
  /** The handle of the session. Null if the event concerns none. */
  readonly session: string | null;
  /** The user's id. Null if there is none, or it cannot be read. */
  readonly user: string | null;
  readonly device: AuditDevice;
  /** How many occurrences the event stands for. */
  readonly count: number;
  /** Why the content is missing: its key was destroyed, or it does not open. Null if it is there. */
  readonly unreadable: "erased" | "refused" | null;
}

/** Longest text of a field in characters. */
const limits: Readonly<Record<string, number>> = { address: 64, userAgent: 512 };
const DETAILS = 32;

/** The content with its texts cut to their limits. Control characters stay: those who write it into a log escape it. */
export function bounded(content: AuditContent): Record<string, unknown> {
  const map: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(content) as [string, unknown][]) {
    if (value === undefined || value === null || value === "") continue;
    const text = (some: unknown): string =>
      textOf(some)
        .slice(0, limits[name] ?? 1_024)
        .toWellFormed();
    // By name, not by type: what a form sent for a text may be an object.
    if (name === "factors") map[name] = [value].flat().slice(0, DETAILS).map(text);
    else if (name === "details") {
      const entries = Object.entries(value).slice(0, DETAILS);
      map[name] = Object.fromEntries(
        entries.map(([key, some]) => [key.slice(0, 64).toWellFormed(), text(some)]),
      );
    } else map[name] = text(value);
  }
  return map;
}

/** Never throws: `{"toString": 1}` in the JSON of a login form must not stop the trail. */
function textOf(some: unknown): string {
  try {
    return String(some);
  } catch {
    return "[object]";
  }
}
