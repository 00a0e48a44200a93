import { answerDevice } from "../../src/device-binding/endpoint.ts";
import { createSessionManager, type Session, type SessionManager } from "../../src/index.ts";
import { recordsOf, settingsOf } from "../../src/manager.ts";
import { KeyRing } from "../../src/sealing/keyring.ts";
import { stateOf } from "../../src/session/session.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { challengeIn, SoftwareDevice } from "../../src/testing/software-device.ts";

/** What a browser keeps of a session that it bound. */
interface Kept {
  readonly id: string;
  /** The key ring's id of the key that made the device cookie. */
  keyId: number;
  /** As the `Cookie` header has it. */
  deviceCookie: string;
  provedAt: number;
}

/** So far is the clock ahead by which device cookies are checked: past the time in which a session is served without one. */
const settling = 11_000;
const cookieLifetime = 1_800_000; // longer than the idle limits of the tests, because each renewal moves them

type Create = typeof createSessionManager;

/**
 * Returns a `createSessionManager` with the option `deviceBinding`, and a browser in front of its managers: it binds each
 * login after its commit, sends the device cookie with each request, and renews it when it has expired. A session that a
 * test does not log in stays unbound.
 *
 * @param store what is below the stores of the managers, for the browser's own requests: a test does not count, delay or fail
 *   them
 */
export function boundManagers(store: () => SessionStore): Create {
  const device = new SoftwareDevice();
  const jar = new Map<string, Kept>();

  function create(options: Parameters<Create>[0]): SessionManager<any> {
    const { clock = Date.now } = options;
    const bound = { ...options, deviceBinding: { mode: "offer", cookieLifetime } } as const;
    const sessions: SessionManager<any> = createSessionManager(bound);
    const { load, commit } = sessions;
    const { cookie: cookies, device: policy } = settingsOf(sessions as never);
    Object.assign(policy!, { now: () => clock() + settling });
    let atEndpoint: SessionManager<any> | undefined;
    const ring = KeyRing.from(options.keys!);
    const answered = new WeakSet<object>();
    const held = new WeakMap<object, Kept>();

    const post = async (headers: Readonly<Record<string, string>>) => {
      atEndpoint ??= createSessionManager({ ...bound, store: store() });
      return answerDevice(recordsOf(atEndpoint as never), {
        method: "POST",
        header: (name) => headers[name],
      });
    };
    const keep = ({ body, headers }: Awaited<ReturnType<typeof post>>, value: string): void => {
      const setCookie = headers["set-cookie"];
      if (setCookie === undefined) return; // the session has ended by now
      const { session_identifier: id } = JSON.parse(body) as { session_identifier: string };
      const deviceCookie = setCookie.split(";")[0]!;
      jar.set(value, { id, deviceCookie, keyId: ring.newest.id, provedAt: clock() });
    };
    const hasExpired = ({ keyId, provedAt }: Kept): boolean =>
      clock() >= provedAt + cookieLifetime - settling || ring.find(keyId) === undefined;
    const refresh = async (cookie: string, value: string, { id }: Kept): Promise<void> => {
      const about = { cookie, "sec-secure-session-id": id };
      const { headers } = await post(about);
      const challenge = headers["secure-session-challenge"];
      if (challenge === undefined) return;
      keep(await post({ ...about, "secure-session-response": device.proof(challengeIn(challenge)) }), value);
    };

    return Object.assign(sessions, {
      async load(this: unknown, header: string | null | undefined, client?: never) {
        const proofs: string[] = [];
        for (const value of header ? cookies.read(header) : []) {
          const kept = jar.get(value);
          if (kept === undefined) continue;
          if (hasExpired(kept)) await refresh(header!, value, kept);
          proofs.push(jar.get(value)!.deviceCookie);
        }
        const proved = proofs.length === 0 ? header : [header, ...proofs].join("; ");
        const session = await load.call(sessions, proved, client);
        const { stored } = stateOf(session as Session<never>);
        const kept = stored === null ? undefined : jar.get(stored.token.text);
        if (kept !== undefined) held.set(session, kept);
        return session;
      },
      async commit(session: Session<any>) {
        const state = stateOf(session as Session<never>);
        const setCookie = await commit.call(sessions, session);
        const now = state.setCookie?.split(";")[0] ?? "";
        const value = now.slice(now.indexOf("=") + 1);
        if (value === "") return setCookie;
        const kept = held.get(session);
        if (kept !== undefined) jar.set(value, kept); // the binding survives a change of id
        const { headers } = state.device;
        const offer = headers.find(([name]) => name === "secure-session-registration");
        if (offer === undefined || answered.has(headers)) return setCookie;
        answered.add(headers);
        const proof = device.registration(challengeIn(offer[1]));
        keep(await post({ cookie: now, "secure-session-response": proof }), value);
        const registered = jar.get(value);
        if (registered !== undefined) held.set(session, registered);
        return setCookie;
      },
    });
  }
  return create as Create;
}
