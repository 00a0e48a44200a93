import { once } from "node:events";
import { createServer, request } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createSessionManager } from "../../src/manager.ts";
import { generateKey } from "../../src/sealing/keyring.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { serveOnce } from "../../src/cli/loopback.ts";
import { launchChromium } from "../demo/chromium.ts";
import { Folder } from "./command.ts";

const folders: Folder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

async function prepared(): Promise<Folder> {
  const folder = new Folder();
  folders.push(folder);
  const keys = generateKey();
  Object.assign(folder.env, {
    STORED_SESSION_KEYS: keys,
    STORED_SESSION_DATABASE_URL: `sqlite:${folder.path}/s.sqlite3`,
  });
  const sessions = createSessionManager({
    store: sqliteStore(`${folder.path}/s.sqlite3`),
    keys,
    audit: true,
    cookie: { secure: false },
  });
  const session = await sessions.load(null, { userAgent: "Phone" });
  session.login("alice");
  await sessions.commit(session);
  await sessions.close();
  return folder;
}

test("stored-session dashboard: start → a link that works once, on the loopback interface; Ctrl-C ends it", async () => {
  const folder = await prepared();
  const child = folder.start("dashboard");
  let printed = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => (printed += text));
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (printed += text));
  const exited = once(child, "close");
  await expect.poll(() => printed, { timeout: 60_000 }).toContain("Ctrl-C ends the dashboard");
  const [link] = /http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{43}/.exec(printed)!;
  const { origin } = new URL(link);

  expect((await fetch(`${origin}/`)).status).toBe(403);
  expect((await fetch(`${origin}/?token=${"A".repeat(43)}`)).status).toBe(403);
  const opened = await fetch(link, { redirect: "manual" });
  expect(opened.status).toBe(303);
  const set = opened.headers.get("set-cookie")!;
  expect(set).toMatch(/^stored-session-operator-\d+=[\w-]{43}; HttpOnly; SameSite=Strict; Path=\/[\w-]{43}$/);
  const cookie = set.split(";")[0]!;
  const path = set.split("Path=")[1]!;
  expect(opened.headers.get("location")).toBe(`${path}/`);
  expect((await fetch(link, { redirect: "manual" })).status).toBe(403);
  const page = await fetch(`${origin}${path}/user?id=alice`, { headers: { cookie } });
  expect(await page.text()).toContain("Phone");

  child.kill("SIGINT");
  expect((await exited)[0]).toBe(0);
});

test("stored-session dashboard: another host name → 421 (DNS rebinding)", async () => {
  const server = await serveOnce(() => (_, response) => void response.end("shown"), 0);
  const { port } = new URL(server.link);
  const answer = await new Promise<number>((resolve, reject) => {
    request({ host: "127.0.0.1", port, path: "/", headers: { host: `evil.example:${port}` } }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    })
      .on("error", reject)
      .end();
  });
  expect(answer).toBe(421);
  await server.close();
});

test.each(["GET http://x/", "OPTIONS *", "GET x", "GET //[", "GET http://127.0.0.1/?token=x"])(
  "stored-session dashboard: `%s` without a cookie → is refused, and the server goes on",
  async (start) => {
    const server = await serveOnce(() => (_, response) => void response.end("shown"), 0);
    const { port } = new URL(server.link);
    const answer = await new Promise<string>((resolve, reject) => {
      let text = "";
      const socket = connect(Number(port), "127.0.0.1", () =>
        socket.write(`${start} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`),
      );
      socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      socket.on("close", () => resolve(text)).on("error", reject);
      setTimeout(() => reject(new Error("no answer")), 10_000).unref();
    });
    expect(answer).toMatch(/^HTTP\/1.1 40[03] /);
    expect((await fetch(server.link, { redirect: "manual" })).status).toBe(303);
    await server.close();
  },
);

test("stored-session dashboard: two at once in one browser → each keeps its own cookie", async () => {
  const [first, second] = [
    await serveOnce(() => (_, response) => void response.end("first"), 0),
    await serveOnce(() => (_, response) => void response.end("second"), 0),
  ];
  // Browsers keep one cookie of each name for 127.0.0.1, whatever the port.
  const jar = new Map<string, string>();
  for (const { link } of [first, second]) {
    const set = (await fetch(link, { redirect: "manual" })).headers.get("set-cookie")!;
    const [name, value] = set.split(";")[0]!.split("=") as [string, string];
    jar.set(name, value);
  }
  const cookie = [...jar].map((pair) => pair.join("=")).join("; ");
  for (const [{ link }, text] of [
    [first, "first"],
    [second, "second"],
  ] as const) {
    expect(await (await fetch(new URL("/", link), { headers: { cookie } })).text()).toBe(text);
  }
  await first.close();
  await second.close();
});

test("stored-session dashboard: a server of somebody else on another port of the host → does not get the cookie", async () => {
  const browser = await launchChromium();
  try {
    const ours = await serveOnce(() => (_, response) => void response.end("shown"), 0);
    const sent: (string | undefined)[] = [];
    const theirs = createServer((received, response) => {
      sent.push(received.headers.cookie);
      response.end("theirs");
    }).listen(0, "127.0.0.1");
    await once(theirs, "listening");
    const page = await browser.newPage();
    await page.goto(ours.link);
    expect(await page.textContent("body")).toBe("shown");
    await page.reload();
    expect(await page.textContent("body")).toBe("shown");
    const { port } = theirs.address() as AddressInfo;
    for (const path of ["/", "/user", "/?token=x"]) await page.goto(`http://127.0.0.1:${port}${path}`);
    expect(sent.length).toBeGreaterThanOrEqual(3);
    expect(sent.every((cookie) => cookie === undefined)).toBe(true);
    await ours.close();
    theirs.close();
    theirs.closeAllConnections();
  } finally {
    await browser.close();
  }
});

test("stored-session dashboard --read-only → no form that ends, reveals or exports; a port in use → says so", async () => {
  const folder = await prepared();
  const busy = await serveOnce(() => () => {}, 0);
  const { port } = new URL(busy.link);
  const failed = await folder.spawn("dashboard", "--port", port);
  expect(failed.code).toBe(2);
  expect(failed.err).toContain(`Port ${port} is in use. Choose another with --port.`);
  await busy.close();

  const child = folder.start("dashboard", "--read-only", "--port", port);
  let printed = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => (printed += text));
  await expect.poll(() => printed, { timeout: 60_000 }).toContain("Ctrl-C");
  const [link] = /http:\S+/.exec(printed)!;
  const opened = await fetch(link, { redirect: "manual" });
  const cookie = opened.headers.get("set-cookie")!.split(";")[0]!;
  const start = new URL(opened.headers.get("location")!, link).href;
  for (const path of ["user?id=alice", "keys", "audit"]) {
    const text = await (await fetch(start + path, { headers: { cookie } })).text();
    expect(text).not.toMatch(/class="danger"|Reveal|Download/);
  }
  child.kill("SIGTERM");
  await once(child, "close");
});
