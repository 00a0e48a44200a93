import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach } from "vitest";
import { answerDevice, type DeviceAnswer } from "../../src/device-binding/endpoint.ts";
import {
  createSessionManager,
  generateKey,
  memoryStore,
  type SessionManagerOptions,
} from "../../src/index.ts";
import { recordsOf, type SessionManager } from "../../src/manager.ts";
import { stateOf, type Session } from "../../src/session/session.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import type { DeviceEvent, RefuseEvent } from "../../src/telemetry/channels.ts";
import { challengeIn, SoftwareDevice } from "../../src/testing/software-device.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";

type Data = Record<string, unknown>;

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** A manager with device-bound sessions, its clock, and what it published. */
export function world(
  options: Partial<SessionManagerOptions<Data>> = {},
  below: SessionStore = memoryStore(),
) {
  const watched = new WatchedStore(below);
  const time = { now: 1_800_000_000_000 };
  const keys = generateKey();
  const manage = (more: Partial<SessionManagerOptions<Data>> = {}): SessionManager<Data> =>
    createSessionManager<Data>({
      store: watched.store,
      keys,
      clock: () => time.now,
      deviceBinding: { mode: "offer" },
      ...options,
      ...more,
    });
  const refusals: string[] = [];
  const events: string[] = [];
  const onRefuse = (event: unknown) => void refusals.push((event as RefuseEvent).reason);
  const onDevice = (event: unknown) => void events.push((event as DeviceEvent).outcome);
  subscribe("stored-session.refuse", onRefuse);
  subscribe("stored-session.device", onDevice);
  stops.push(() => {
    unsubscribe("stored-session.refuse", onRefuse);
    unsubscribe("stored-session.device", onDevice);
  });
  const sessions = manage();
  return { watched, time, keys, manage, sessions, refusals, events, browser: () => new Browser(sessions) };
}

/** A browser with a cookie jar and a key. */
export class Browser {
  sessions: SessionManager<Data>;
  readonly jar = new Map<string, string>();
  readonly device: SoftwareDevice;
  id = "";

  constructor(sessions: SessionManager<Data>, device: SoftwareDevice = new SoftwareDevice()) {
    this.sessions = sessions;
    this.device = device;
  }

  get cookie(): string {
    return [...this.jar].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  /** Another browser with some of this one's cookies. */
  thief(...names: string[]): Browser {
    const other = new Browser(this.sessions);
    for (const [name, value] of this.jar)
      if (names.length === 0 || names.includes(name)) other.jar.set(name, value);
    return other;
  }

  load(): Promise<Session<Data>> {
    return this.sessions.load(this.cookie);
  }

  /** One request. Returns the headers about the device that its response has. */
  async request(work: (session: Session<Data>) => unknown): Promise<ReadonlyMap<string, string>> {
    const session = await this.load();
    await work(session);
    const setCookie = await this.sessions.commit(session);
    if (setCookie !== null) this.keep(setCookie);
    const { headers } = stateOf(session as Session<never>).device;
    for (const [name, value] of headers) if (name === "set-cookie") this.keep(value);
    return new Map(headers);
  }

  async user(): Promise<string | undefined> {
    return (await this.load()).user;
  }

  /** Logs in, and returns the challenge of the registration. */
  async login(user = "42"): Promise<string> {
    const headers = await this.request((session) => session.login(user));
    return challengeIn(headers.get("secure-session-registration"));
  }

  async post(headers: Readonly<Record<string, string>>): Promise<DeviceAnswer> {
    const all: Record<string, string> = { cookie: this.cookie, ...headers };
    const answer = await answerDevice(recordsOf(this.sessions as never), {
      method: "POST",
      header: (name) => all[name],
    });
    const setCookie = answer.headers["set-cookie"];
    if (setCookie !== undefined) this.keep(setCookie);
    return answer;
  }

  register(proof: string): Promise<DeviceAnswer> {
    return this.post({ "secure-session-response": proof });
  }

  async bind(user = "42"): Promise<void> {
    const answer = await this.register(this.device.registration(await this.login(user)));
    this.id = JSON.parse(answer.body).session_identifier as string;
  }

  /** The answer to a refresh without a proof. */
  ask(): Promise<DeviceAnswer> {
    return this.post({ "sec-secure-session-id": this.id });
  }

  prove(proof: string): Promise<DeviceAnswer> {
    return this.post({ "sec-secure-session-id": this.id, "secure-session-response": proof });
  }

  async challenge(): Promise<string> {
    return challengeIn((await this.ask()).headers["secure-session-challenge"]);
  }

  async refresh(): Promise<DeviceAnswer> {
    return this.prove(this.device.proof(await this.challenge()));
  }

  keep(setCookie: string): void {
    const [pair = ""] = setCookie.split(";");
    const [name = "", value = ""] = pair.split("=");
    if (/Max-Age=0/.test(setCookie)) this.jar.delete(name);
    else this.jar.set(name, value);
  }
}

export const minute = 60_000;
export const sessionCookie = "__Host-session";
export const deviceCookie = "__Host-session-device";
