import assert from "node:assert/strict";
import { test } from "vitest";
import { isLocal, problemOf, warnOfInsecureRequest } from "./insecure-request.ts";

test("loopback hosts and addresses → recognized", () => {
  for (const host of [
    "localhost",
    "LOCALHOST:3000",
    "shop.localhost:1",
    "127.0.0.1",
    "127.1.2.3:80",
    "::ffff:127.0.0.1",
    "::1",
    "[::1]:3000",
  ]) {
    assert.equal(isLocal(host), true, host);
  }
  for (const host of [
    undefined,
    "",
    "localhost.example",
    "notlocalhost",
    "10.0.0.1",
    "::2",
    "[::12]",
    "example.com:127",
    "1127.0.0.1",
  ]) {
    assert.equal(isLocal(host), false, host);
  }
});

const agents = {
  safari:
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
  chrome:
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/144.0.0.0 Safari/537.36",
  firefox: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:147.0) Gecko/20100101 Firefox/147.0",
};

interface Request {
  readonly secure?: boolean;
  readonly host?: string;
  readonly peer?: string;
  readonly headers?: Record<string, string>;
}

const arrival = ({ secure = false, host = "shop.example", peer, headers = {} }: Request) => ({
  secure,
  host,
  peer,
  header: (name: string) => headers[name],
});

const local = { host: "localhost:3000", peer: "127.0.0.1" };
const cases: readonly [string, Request, "plain" | "proxy" | "safari" | null][] = [
  ["https", { secure: true, peer: "10.0.0.1" }, null],
  ["Chrome on http://localhost", { ...local, headers: { "user-agent": agents.chrome } }, null],
  ["Firefox on http://localhost", { ...local, headers: { "user-agent": agents.firefox } }, null],
  ["a client that says nothing, on http://localhost", local, null],
  ["Safari on http://localhost", { ...local, headers: { "user-agent": agents.safari } }, "safari"],
  ["Safari over https", { secure: true, headers: { "user-agent": agents.safari } }, null],
  ["plain http from elsewhere", { peer: "10.0.0.1" }, "plain"],
  [
    "a proxy elsewhere that says https and is not trusted",
    { peer: "10.0.0.1", headers: { "x-forwarded-proto": "https" } },
    "plain",
  ],
  ["http://localhost of a container's host", { host: "localhost:3000", peer: "172.17.0.1" }, null],
  ["a proxy without TLS on this machine, Host passed on", { peer: "127.0.0.1" }, "proxy"],
  [
    "a proxy without TLS on this machine, Host rewritten",
    { ...local, headers: { "x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "http" } },
    "proxy",
  ],
  [
    "a proxy on this machine that says https",
    { peer: "::1", headers: { "x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https" } },
    null,
  ],
  [
    "a proxy on this machine that says https in Forwarded",
    { peer: "::1", headers: { forwarded: "for=203.0.113.7;proto=https" } },
    null,
  ],
  [
    "a development proxy on this machine",
    { ...local, headers: { "x-forwarded-for": "127.0.0.1", "x-forwarded-host": "localhost:5173" } },
    null,
  ],
  ["fetch, plain http", {}, "plain"],
  ["fetch, a header says https", { headers: { "x-forwarded-proto": "https" } }, null],
];

for (const [name, request, problem] of cases) {
  test(`a Secure cookie: ${name} → ${problem === null ? "no problem" : `the problem "${problem}"`}`, () => {
    assert.equal(problemOf(arrival(request)), problem);
  });
}

test("a Secure cookie that a browser drops → one warning a process for each reason, with what to do", async () => {
  const warnings: (Error & { code?: string })[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning);
  process.on("warning", onWarning);
  const plain = () => arrival({ peer: "10.0.0.1" });
  warnOfInsecureRequest("a=b; Path=/", plain);
  warnOfInsecureRequest("secure=b; Path=/secure", plain);
  warnOfInsecureRequest("a=b; Secure; Path=/", () => arrival({ secure: true }));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(warnings.length, 0);
  for (const request of [
    { peer: "10.0.0.1" },
    { peer: "127.0.0.1" },
    { ...local, headers: { "user-agent": agents.safari } },
  ]) {
    warnOfInsecureRequest("a=b; Path=/; Secure", () => arrival(request));
    warnOfInsecureRequest("a=b; Path=/; Secure", () => arrival(request));
  }
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", onWarning);
  assert.deepEqual(
    warnings.map(({ code }) => code),
    Array.from({ length: 3 }, () => "STORED_SESSION_INSECURE_REQUEST"),
  );
  assert.match(warnings[0]!.message, /trust proxy.*secure: false/);
  assert.match(warnings[1]!.message, /proxy on this machine.*X-Forwarded-Proto/);
  assert.match(warnings[2]!.message, /Safari.*NODE_ENV=development/);
});
