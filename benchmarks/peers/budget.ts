import type { Profiler } from "node:inspector";

/** What the processor time of a request goes to, in the order of the report. */
export const partNames = [
  "token",
  "statement",
  "decryption",
  "decoding",
  "change detection",
  "commit",
  "response",
  "session, other",
  "sending",
  "application",
  "garbage collection",
  "Node, other",
] as const;
export type Part = (typeof partNames)[number];

/** Microseconds of one request by part. */
export type Budget = Readonly<Record<Part, number>>;

interface Frame {
  readonly url: string;
  readonly name: string;
}

interface Rule {
  /** Null: whoever called it decides. */
  readonly part: Part | null;
  readonly file: RegExp;
  /** Names of its functions; all unless given. */
  readonly name?: RegExp;
}

/**
 * The first rule that matches a frame counts, and of a stack the innermost frame that one matches: what Node does for a
 * part, such as hashing for a token, belongs to that part.
 */
const rules: readonly Rule[] = [
  // Node's own work for a response, which every application has.
  {
    part: "sending",
    file: /^node:_http_outgoing/,
    name: /^(?:end|write|_send|_flush|_implicitHeader|connectionCork)/,
  },
  { part: "token", file: /\/src\/session\/(?:token|known-tokens|cookie|rejected-cookies)\./ },
  { part: "decryption", file: /\/src\/sealing\/sealer\./, name: /open/ },
  { part: "commit", file: /\/src\/sealing\/sealer\./, name: /seal/ },
  { part: "decryption", file: /\/src\/session\/opened\./ },
  { part: "decoding", file: /\/src\/codec\/codec\./, name: /^decode/ },
  { part: "change detection", file: /\/src\/session\/(?:unchanged|settled)\.|\/src\/codec\/snapshot\./ },
  // The drop-in store compares too.
  { part: "change detection", file: /\/src\/codec\/codec\./, name: /^encodesTo$/ },
  // Encoding serves commits and the detection of changes.
  { part: null, file: /\/src\/(?:codec|sealing|shared|telemetry)\/|\/src\/session\/native-format\./ },
  { part: "commit", file: /\/src\/session\/(?:commit|writes|write-engine|group-commit|merge)\./ },
  { part: "statement", file: /\/src\/(?:sql|batching|store)\// },
  {
    part: "statement",
    file: /\/node_modules\/(?:pg|pg-pool|pg-protocol|mysql2|redis|@redis|knex|tarn|better-sqlite3)\/|^node:sqlite/,
  },
  // What other libraries read and sign cookies with.
  { part: "token", file: /\/node_modules\/(?:cookie|cookies|cookie-signature|keygrip)\// },
  { part: "response", file: /\/src\/adapters\/|\/node_modules\/(?:on-headers|express-session)\// },
  {
    part: "session, other",
    file: /\/src\/|\/node_modules\/(?:connect-|memorystore|cookie-session|iron-|express-mysql-session|better-sqlite3-session-store)/,
  },
  { part: "application", file: /\/peers\/http-server\.|\/node_modules\// },
];

/**
 * The time of a processor profile by part, scaled to what one request takes of the processor without a profile: taking
 * samples makes everything slower, and nothing much more so than anything else. Time in the system is in it: it is most
 * of "sending", where a write to a socket wakes its reader.
 * @param micros microseconds of processor time that one request takes
 */
export function budgetOf(profile: Profiler.Profile, micros: number): Budget {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const { id, children = [] } of profile.nodes) for (const child of children) parents.set(child, id);
  const parts = new Map<number, Part | null>();
  const partOf = (id: number): Part | null => {
    const known = parts.get(id);
    if (known !== undefined) return known;
    const { functionName: name, url } = nodes.get(id)!.callFrame;
    const parent = parents.get(id);
    const part =
      name === "(garbage collector)"
        ? "garbage collection"
        : name === "(idle)" || url === "node:inspector"
          ? null
          : (ruleOf({ url, name }) ?? (parent === undefined ? "Node, other" : partOf(parent)));
    parts.set(id, part);
    return part;
  };
  const times = Object.fromEntries(partNames.map((part) => [part, 0])) as Record<Part, number>;
  let busy = 0;
  for (const [index, id] of (profile.samples ?? []).entries()) {
    const part = partOf(id);
    if (part === null) continue;
    const time = profile.timeDeltas?.[index] ?? 0;
    times[part] += time;
    busy += time;
  }
  for (const part of partNames) times[part] *= busy > 0 ? micros / busy : 0;
  return times;
}

function ruleOf({ url, name }: Frame): Part | null {
  return rules.find((rule) => rule.file.test(url) && (rule.name?.test(name) ?? true))?.part ?? null;
}
