/**
 * Mutated, truncated, recombined and wrongly signed proofs of a device by the million, sent to the endpoint: each must be
 * refused, and after all of them the browser's own proof counts. `node test/fuzz/proofs.ts [count] [seed]`
 */
import { fileURLToPath } from "node:url";
import { answerDevice } from "../../src/device-binding/endpoint.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import { recordsOf } from "../../src/manager.ts";
import { stateOf, type Session } from "../../src/session/session.ts";
import { challengeIn, SoftwareDevice } from "../../src/testing/software-device.ts";

/** Integers from 0 to `below - 1`, the same ones for the same seed (Marsaglia's xorshift). */
function generator(seed: number): (below: number) => number {
  let state = Math.imul(seed, 0x9e3779b1) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

type Random = (below: number) => number;

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/" {}\u00e9\0';
const oddValues = [
  null,
  true,
  0,
  1,
  -1,
  "",
  "none",
  "ES256",
  "RS256",
  "HS256",
  "dbsc+jwt",
  [],
  {},
  ["x"],
  { a: 1 },
];

/** A proof that is not the given one, and not any other that the endpoint accepts. */
function mutate(random: Random, proof: string, others: readonly string[], forger: SoftwareDevice): string {
  const parts = proof.split(".");
  const at = random(proof.length);
  const one = <Item>(items: readonly Item[]): Item => items[random(items.length)]!;
  switch (random(10)) {
    case 0: {
      const character = one([...alphabet].filter((other) => other !== proof[at]));
      return proof.slice(0, at) + character + proof.slice(at + 1);
    }
    case 1:
      return proof.slice(0, at) + proof.slice(at + 1 + random(8));
    case 2:
      return proof.slice(0, at) + one([...alphabet]) + proof.slice(at);
    case 3: {
      const part = random(3);
      const other = one(others).split(".")[part]!;
      return parts.map((own, index) => (index === part ? other : own)).join(".");
    }
    case 4:
      return one([
        parts.slice(0, 2).join("."),
        parts.toReversed().join("."),
        `${proof}.${parts[2]}`,
        `.${proof}`,
      ]);
    case 5: // a member of the header or the payload, with the signature of before
    case 6: {
      const part = random(2);
      const value = JSON.parse(Buffer.from(parts[part]!, "base64url").toString()) as Record<string, unknown>;
      const name = one([...Object.keys(value), "alg", "typ", "jwk", "jti", "sub", "key", "crit", "x"]);
      const changed = { ...value, [name]: one(oddValues) };
      if (JSON.stringify(changed) === JSON.stringify(value)) return `${proof}A`;
      const message = parts
        .map((own, index) => (index === part ? encode(changed) : own))
        .slice(0, 2)
        .join(".");
      return `${message}.${parts[2]}`;
    }
    case 7: {
      const message = parts.slice(0, 2).join(".");
      return `${message}.${forger.signature(message).toString("base64url")}`;
    }
    case 8: {
      const bytes = Buffer.from(parts[2]!, "base64url");
      const wrong = one([
        Buffer.alloc(bytes.length),
        Buffer.alloc(bytes.length, 0xff),
        Buffer.from([...bytes].toReversed()),
        Buffer.concat([bytes, Buffer.alloc(1 + random(64))]),
        bytes.subarray(0, random(bytes.length)),
        Buffer.from(
          bytes.map((byte, index) => (index === at % bytes.length ? byte ^ (1 << random(8)) : byte)),
        ),
      ]);
      return `${parts[0]}.${parts[1]}.${wrong.toString("base64url")}`;
    }
    default:
      return Array.from({ length: random(400) }, () => one([...alphabet])).join("");
  }
}

/**
 * Sends `count` mutations to the endpoint, half of them as registrations and half as refreshes. Answers how often each
 * status came. The mutations follow from `seed`, apart from the bytes of keys and signatures.
 *
 * @throws {Error} naming the seed and the round, when a mutation is accepted, or the endpoint throws
 */
export async function fuzzProofs({
  count,
  seed,
}: {
  count: number;
  seed: number;
}): Promise<Record<string, number>> {
  const random = generator(seed);
  const sessions = createSessionManager<Record<string, unknown>>({
    store: memoryStore(),
    keys: generateKey(),
    clock: () => 1_800_000_000_000,
    deviceBinding: { mode: "offer" },
  });
  const records = recordsOf(sessions as never);
  const post = async (headers: Record<string, string | undefined>) =>
    answerDevice(records, { method: "POST", header: (name) => headers[name] });
  const login = async (user: string) => {
    const session = await sessions.load(null);
    session.login(user);
    const cookie = (await sessions.commit(session))!.split(";")[0]!;
    return { cookie, challenge: challengeIn(stateOf(session as Session<never>).device.headers[0]![1]) };
  };
  const bind = async (user: string, device: SoftwareDevice) => {
    const { cookie, challenge } = await login(user);
    const answer = await post({ cookie, "secure-session-response": device.registration(challenge) });
    const id = JSON.parse(answer.body).session_identifier as string;
    const asked = await post({ cookie, "sec-secure-session-id": id });
    return { cookie, id, challenge: challengeIn(asked.headers["secure-session-challenge"]) };
  };
  const [device, stranger] = [new SoftwareDevice(), new SoftwareDevice()];
  const [unbound, another] = [await login("42"), await login("43")];
  const [bound, foreign] = [await bind("42", device), await bind("43", stranger)];
  const registration = device.registration(unbound.challenge);
  const refresh = device.proof(bound.challenge);
  const others = [
    stranger.registration(unbound.challenge),
    stranger.registration(another.challenge),
    stranger.proof(bound.challenge),
    stranger.proof(foreign.challenge),
    device.proof(foreign.challenge),
    device.registration(another.challenge),
  ];
  const statuses: Record<string, number> = {};
  for (let round = 0, sent = 0; sent < count; round++) {
    const isRefresh = random(2) === 1;
    const genuine = isRefresh ? refresh : registration;
    const proof = mutate(random, genuine, others, stranger);
    if (proof === genuine) continue; // what was put in its place is the same
    sent++;
    const { cookie } = isRefresh ? bound : unbound;
    const answer = await post({
      cookie,
      "secure-session-response": proof,
      "sec-secure-session-id": isRefresh ? bound.id : undefined,
    });
    if (answer.status < 400 || answer.status >= 500 || answer.headers["set-cookie"] !== undefined)
      throw new Error(`Seed ${seed}, round ${round}: ${answer.status} for ${JSON.stringify(proof)}`);
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
  }
  const proved = await post({
    cookie: bound.cookie,
    "secure-session-response": refresh,
    "sec-secure-session-id": bound.id,
  });
  const registered = await post({ cookie: unbound.cookie, "secure-session-response": registration });
  if (proved.status !== 200 || registered.status !== 200)
    throw new Error(`Seed ${seed}: the browser's own proofs got ${proved.status} and ${registered.status}.`);
  await sessions.close();
  return statuses;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [count = 1_000_000, seed = 1] = process.argv.slice(2).map(Number);
  const began = performance.now();
  const statuses = await fuzzProofs({ count, seed });
  const seconds = Math.round((performance.now() - began) / 1_000);
  console.log(
    `${count.toLocaleString("en-US")} mutated proofs, seed ${seed}: all refused, in ${seconds} s`,
    statuses,
  );
}
