/** Device-bound sessions over HTTP: the endpoint, which every adapter answers, and a browser that misbehaves. */
import assert from "node:assert/strict";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import type { Answer, Check, Visitor } from "./adapter-world.ts";
import { challengeIn, SoftwareDevice, type ProofChanges } from "./software-device.ts";

const path = "/.well-known/stored-session";
const offer = { mode: "offer" } as const;
const sessionCookie = "__Host-session";
const deviceCookie = "__Host-session-device";
const minute = 60_000;
/** Longer than requests count that were under way when the device was bound. */
const settled = 11_000;

export function devices(check: Check): void {
  check(
    "a login that the browser binds → served with the device cookie only, until logout (R60)",
    async ({ visitor, advance }) => {
      const owner = visitor();
      const device = new SoftwareDevice();
      const login = await owner.get("/login?user=42");
      assert.equal(login.setCookies.length, 1);
      assert.match(login.headers.get("cache-control") ?? "", /no-store/);
      const id = await register(owner, device, login);
      advance(settled);
      assert.equal((await owner.read()).user, "42");
      const thief = visitor(only(owner, sessionCookie));
      assert.deepEqual(await thief.read(), { user: null, isNew: true, data: {} });
      advance(12 * minute);
      assert.equal((await refresh(owner, device, id)).status, 200);
      assert.equal((await owner.read()).user, "42");
      await owner.get("/set?key=tea&value=green");
      await owner.get("/regenerate");
      assert.deepEqual(await owner.read(), { user: "42", isNew: false, data: { tea: "green" } });
      const logout = await owner.get("/logout");
      assert.equal(logout.setCookies.length, 2);
      assert.equal(owner.cookie, "", "both cookies are cleared");
      const ended = await post(owner, { "sec-secure-session-id": id });
      assert.deepEqual(JSON.parse(ended.body), { session_identifier: id, continue: false });
    },
    { trait: "devices", device: offer },
  );

  check(
    "a browser without DBSC → served as without the option; mode require ends its login (R62)",
    async ({ visitor, advance }) => {
      const owner = visitor();
      await owner.get("/login?user=42");
      advance(59_000);
      assert.equal((await owner.read()).user, "42");
      advance(2_000);
      assert.deepEqual(await owner.read(), { user: null, isNew: true, data: {} });
    },
    { trait: "devices", device: { mode: "require" } },
  );

  check(
    "forged, foreign, stale, repeated and malformed proofs → each refused with its reason (R61)",
    async ({ visitor, advance }) => {
      const owner = visitor();
      const device = new SoftwareDevice();
      const challenge = challengeOf(await owner.get("/login?user=42"));
      const other = visitor();
      const foreign = challengeOf(await other.get("/login?user=43"));
      await misregister(owner, device, challenge, foreign);
      const stranger = await post(visitor(), { "secure-session-response": device.registration(challenge) });
      assert.deepEqual(refusal(stranger), [401, "device_session_unknown"]);

      const stale = visitor();
      const late = challengeOf(await stale.get("/login?user=44"));
      advance(5 * minute + 1);
      assert.deepEqual(refusal(await send(stale, device.registration(late))), [
        400,
        "device_challenge_expired",
      ]);

      const id = await register(owner, device, await owner.get("/login?user=42"));
      const bound = await send(owner, device.registration(challengeOf(await other.get("/login?user=43"))));
      assert.deepEqual(refusal(bound), [400, "device_challenge_invalid"]);
      await misrefresh(owner, other, device, id, advance);
      assert.equal((await refresh(owner, device, id)).status, 200, "and the browser's own proof counts");
    },
    { trait: "devices", device: offer },
  );

  check(
    "the same proof sent eight times at once, and a registration repeated → counts once (R61)",
    async ({ visitor }) => {
      const owner = visitor();
      const device = new SoftwareDevice();
      const registration = device.registration(challengeOf(await owner.get("/login?user=42")));
      const registered = await eight(() => send(owner, registration));
      assert.deepEqual(registered.map(({ status }) => status).toSorted(), [200, ...Array(7).fill(409)]);
      const id = JSON.parse(registered.find(({ status }) => status === 200)!.body)
        .session_identifier as string;
      assert.deepEqual(refusal(await send(owner, registration)), [409, "device_already_bound"]);
      const proof = device.proof(await ask(owner, id));
      const refreshed = await eight(() => send(owner, proof, id));
      assert.deepEqual(refreshed.map(({ status }) => status).toSorted(), [200, ...Array(7).fill(403)]);
    },
    { trait: "devices", device: offer },
  );

  check(
    "device cookies that are forged, of another session, or expired → not logged in (R60)",
    async ({ visitor, advance }) => {
      const [owner, other] = [visitor(), visitor()];
      for (const one of [owner, other])
        await register(one, new SoftwareDevice(), await one.get("/login?user=42"));
      advance(settled);
      const token = valueOf(owner, deviceCookie);
      const flip = (at: number) => token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
      const forged = ["", "x", `${token}A`, token.slice(1), "A".repeat(40), valueOf(other, deviceCookie)];
      for (const value of [...forged, ...Array.from({ length: 40 }, (_, at) => flip(at))]) {
        const thief = visitor(`${only(owner, sessionCookie)}; ${deviceCookie}=${value}`);
        assert.equal((await thief.read()).user, null, value);
      }
      assert.equal((await visitor(owner.cookie).read()).user, "42");
      advance(11 * minute);
      assert.equal((await visitor(owner.cookie).read()).user, null);
    },
    { trait: "devices", device: offer },
  );

  check(
    "a link on another site, and the device cookie has expired → the page loads itself again, before the handler runs (R60)",
    async ({ visitor, advance, url, runs }) => {
      const owner = visitor();
      const device = new SoftwareDevice();
      const id = await register(owner, device, await owner.get("/login?user=42"));
      advance(12 * minute);
      const before = runs();
      const link = (site: string, mode = "navigate") =>
        followed(`${url}/set?key=tea&value=green`, owner, site, mode);
      for (const site of ["cross-site", "same-site"]) {
        const { body, setCookies, headers } = await link(site);
        assert.match(body, /<meta http-equiv="refresh" content="0">/);
        assert.match(headers["cache-control"] ?? "", /no-store/);
        assert.deepEqual(setCookies, []);
        assert.equal(runs(), before, "the handler would use up a link that counts once");
      }
      assert.equal((await refresh(owner, device, id)).status, 200);
      assert.equal((await link("same-origin")).body, "set");
      assert.deepEqual(await owner.read(), { user: "42", isNew: false, data: { tea: "green" } });
      advance(12 * minute);
      assert.equal((await link("cross-site", "cors")).body, "set", "a script gets the anonymous session");
    },
    { trait: "devices", device: offer },
  );

  check(
    "the store is down → the endpoint answers 503, and the binding survives (promise 8)",
    async ({ visitor, watched }) => {
      const owner = visitor();
      const device = new SoftwareDevice();
      const id = await register(owner, device, await owner.get("/login?user=42"));
      watched.down("all");
      assert.equal((await post(owner, { "sec-secure-session-id": id })).status, 503);
      watched.up();
      assert.equal((await refresh(owner, device, id)).status, 200);
      const got = await owner.get(path);
      assert.deepEqual([got.status, got.headers.get("allow")], [405, "POST"]);
    },
    { trait: "devices", device: offer },
  );
}

/** Opens a page with the headers of a browser, which `fetch` does not let a program set. */
function followed(
  url: string,
  { cookie }: Visitor,
  site: string,
  mode: string,
): Promise<{ body: string; headers: IncomingHttpHeaders; setCookies: readonly string[] }> {
  const headers = { cookie, "sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": "document" };
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () =>
        resolve({
          body: Buffer.concat(chunks).toString(),
          headers: response.headers,
          setCookies: response.headers["set-cookie"] ?? [],
        }),
      );
    });
    request.on("error", reject);
    request.end();
  });
}

/** Registrations that are refused, before the one that counts. */
async function misregister(
  owner: Visitor,
  device: SoftwareDevice,
  challenge: string,
  foreign: string,
): Promise<void> {
  const signed = (changes: ProofChanges) => device.registration(challenge, changes);
  const rsa = new SoftwareDevice("RS256");
  const cases: [reason: string, proof: string][] = [
    ...malformed(signed({})),
    ["malformed", signed({ header: { typ: "JWT" } })],
    ["malformed", signed({ header: { crit: ["exp"] } })],
    ["malformed", signed({ payload: { jti: 1 } })],
    ["algorithm", signed({ header: { alg: "none" } })],
    [
      "algorithm",
      `${signed({ header: { alg: "none" } })
        .split(".")
        .slice(0, 2)
        .join(".")}.AAAA`,
    ],
    ["algorithm", signed({ header: { alg: "HS256" } })],
    ["algorithm", signed({ header: { alg: "RS256" } })],
    ["key", signed({ header: { jwk: undefined } })],
    ["key", signed({ header: { jwk: { kty: "oct", k: "AAAA" } } })],
    ["key", signed({ header: { jwk: { ...device.jwk, x: "AAAA" } } })],
    ["key", new SoftwareDevice("ES256", { curve: "P-384" }).registration(challenge)],
    ["key", new SoftwareDevice("RS256", { bits: 1_024 }).registration(challenge)],
    ["signature", signed({ header: { jwk: new SoftwareDevice().jwk } })],
    [
      "signature",
      rsa.registration(challenge, { header: { alg: "RS256", jwk: new SoftwareDevice("RS256").jwk } }),
    ],
  ];
  for (const [reason, proof] of cases)
    assert.deepEqual(refusal(await send(owner, proof)), [400, `device_proof_${reason}`], proof.slice(0, 200));
  for (const wrong of [foreign, "", "x", `${challenge}A`, challenge.slice(1)])
    assert.deepEqual(refusal(await send(owner, device.registration(wrong))), [
      400,
      "device_challenge_invalid",
    ]);
  const tooLarge = signed({ payload: { more: "x".repeat(7_000) } });
  assert.deepEqual(refusal(await send(owner, tooLarge)), [400, "device_proof_too_large"]);
}

/** Refreshes that are refused. None ends the binding. */
async function misrefresh(
  owner: Visitor,
  other: Visitor,
  device: SoftwareDevice,
  id: string,
  advance: (milliseconds: number) => void,
): Promise<void> {
  const challenge = await ask(owner, id);
  const signed = (changes: ProofChanges) => device.proof(challenge, changes);
  const cases: [status: number, reason: string, proof: string][] = [
    ...malformed(signed({})).map(([, proof]): [number, string, string] => [400, "proof_malformed", proof]),
    [400, "proof_algorithm", signed({ header: { alg: "none" } })],
    [400, "proof_algorithm", signed({ header: { alg: "RS256" } })],
    [400, "proof_signature", new SoftwareDevice().proof(challenge)],
    [400, "proof_signature", new SoftwareDevice().registration(challenge)],
    [400, "session_mismatch", signed({ payload: { sub: "another" } })],
    [403, "challenge_invalid", device.proof("x")],
    [403, "challenge_invalid", device.proof(challengeOf(await other.get("/login?user=45")))],
  ];
  for (const [status, reason, proof] of cases)
    assert.deepEqual(
      refusal(await send(owner, proof, id)),
      [status, `device_${reason}`],
      proof.slice(0, 200),
    );

  const foreignId = await register(other, new SoftwareDevice(), await other.get("/login?user=43"));
  const elsewhere = device.proof(await ask(other, foreignId));
  assert.deepEqual(refusal(await send(owner, elsewhere, id)), [403, "device_challenge_invalid"]);
  assert.deepEqual(
    JSON.parse((await send(owner, signed({}), foreignId)).body),
    { session_identifier: foreignId, continue: false },
    "a binding that is not this session's",
  );
  for (const wrong of ["", "x", `${id}A`])
    assert.deepEqual(refusal(await send(owner, signed({}), wrong)), [400, "device_session_mismatch"]);

  const used = device.proof(await ask(owner, id));
  assert.equal((await send(owner, used, id)).status, 200);
  const again = await send(owner, used, id);
  assert.deepEqual(refusal(again), [403, "device_challenge_used"]);
  assert.equal((await send(owner, device.proof(challengeOf(again)), id)).status, 200, "signs the next one");
  const stale = device.proof(await ask(owner, id));
  advance(5 * minute + 1);
  assert.deepEqual(refusal(await send(owner, stale, id)), [403, "device_challenge_expired"]);
}

/** Texts that are no proof, made from one that is. */
function malformed(proof: string): ["malformed", string][] {
  const [header, payload, signature] = proof.split(".");
  const json = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const texts = [
    "",
    ".",
    "..",
    "x.y.z",
    `${header}.${payload}`,
    `${proof}.`,
    `${proof}=`,
    `${header}.${payload}.`,
    `${json(null)}.${payload}.${signature}`,
    `${json([])}.${payload}.${signature}`,
    `${json("text")}.${payload}.${signature}`,
    `${header}.${json(null)}.${signature}`,
    `${header!.slice(1)}.${payload}.${signature}`,
    `!${header}.${payload}.${signature}`,
  ];
  return texts.map((text) => ["malformed", text]);
}

/** Status and reason of a refusal. */
function refusal({ status, body }: Answer): [number, string] {
  const { error, reason = error } = JSON.parse(body) as { error: string; reason?: string };
  return [status, reason];
}

function challengeOf({ headers }: Answer): string {
  return challengeIn(headers.get("secure-session-registration") ?? headers.get("secure-session-challenge"));
}

async function register(owner: Visitor, device: SoftwareDevice, login: Answer): Promise<string> {
  const answer = await send(owner, device.registration(challengeOf(login)));
  assert.equal(answer.status, 200, answer.body);
  assert.match(answer.headers.get("content-type") ?? "", /^application\/json/);
  assert.match(
    answer.setCookies[0] ?? "",
    /^__Host-session-device=[\w-]{40}; Max-Age=600; Path=\/; HttpOnly; Secure/,
  );
  return JSON.parse(answer.body).session_identifier as string;
}

async function refresh(owner: Visitor, device: SoftwareDevice, id: string): Promise<Answer> {
  return send(owner, device.proof(await ask(owner, id)), id);
}

/** The challenge of a refresh. */
async function ask(owner: Visitor, id: string): Promise<string> {
  const answer = await post(owner, { "sec-secure-session-id": id });
  assert.equal(answer.status, 403, answer.body);
  return challengeOf(answer);
}

function send(owner: Visitor, proof: string, id?: string): Promise<Answer> {
  return post(owner, {
    "secure-session-response": proof,
    ...(id !== undefined && { "sec-secure-session-id": id }),
  });
}

function post(owner: Visitor, headers: Readonly<Record<string, string>>): Promise<Answer> {
  return owner.get(path, { method: "POST", headers });
}

function eight<Result>(work: () => Promise<Result>): Promise<Result[]> {
  return Promise.all(Array.from({ length: 8 }, work));
}

function only(owner: Visitor, name: string): string {
  return `${name}=${valueOf(owner, name)}`;
}

function valueOf({ cookie }: Visitor, name: string): string {
  const pair = cookie.split("; ").find((one) => one.startsWith(`${name}=`));
  assert.ok(pair !== undefined, `${name} in ${cookie}`);
  return pair.slice(name.length + 1);
}
