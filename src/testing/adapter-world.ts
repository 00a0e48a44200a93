/** The world of one test of the adapter contract: a running server, its store, and browsers. */
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import type { DeviceBindingOptions } from "../device-binding/options.ts";
import type { SessionManager } from "../manager.ts";
import type { OnClientChange } from "../session/client-answer.ts";
import type { Gates } from "./adapter-routes.ts";
import type { WatchedStore } from "./watched-store.ts";

/** A running server of the framework. */
export interface RunningApp {
  readonly url: string;
  close(): Promise<void>;
  /** The server itself, so that a test can observe when it notices a disconnected client. */
  readonly server: {
    once(event: "connection", listener: (socket: ClosingSocket) => void): unknown;
  };
  /** Sends a request on a separate connection, which the returned function cuts. Default: over HTTP/1.1 to `url`. */
  open?(path: string, cookie: string): () => Promise<void>;
}

interface ClosingSocket {
  once(event: "close", listener: () => void): unknown;
}

export type Trait =
  | "cookies"
  | "late"
  | "saves"
  | "errors"
  | "ids"
  | "leaving"
  | "unstarted"
  | "headers"
  | "elevation"
  | "devices";
export interface CheckOptions {
  readonly trait?: Trait;
  /** The option `deviceBinding` of the manager. */
  readonly device?: DeviceBindingOptions;
  /** That option of the manager. */
  readonly onClientChange?: OnClientChange;
}
/** @param options or the trait alone */
export type Check = (
  sentence: string,
  body: (world: World) => Promise<void>,
  options?: CheckOptions | Trait,
) => void;

export interface World {
  readonly url: string;
  readonly watched: WatchedStore;
  readonly gates: Gates;
  readonly differs: ReadonlySet<Trait>;
  readonly sessions: SessionManager<Record<string, unknown>>;
  readonly running: RunningApp;
  /** Moves the clock of `sessions` forward. */
  readonly advance: (milliseconds: number) => void;
  /** How often the handler ran. */
  readonly runs: () => number;
  /** Creates another browser. */
  readonly visitor: (cookie?: string) => Visitor;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly setCookies: readonly string[];
  readonly body: string;
}

/** A browser with cookies for one site. */
export class Visitor {
  readonly #url: string;
  readonly #jar = new Map<string, string>();
  readonly #variesBy: readonly string[];

  /** @param variesBy names to ignore in `Vary` */
  constructor(url: string, cookie?: string, variesBy: readonly string[] = []) {
    this.#url = url;
    this.#variesBy = variesBy;
    for (const pair of cookie?.split("; ") ?? []) this.keep(pair);
  }

  get cookie(): string {
    return [...this.#jar].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  async get(path: string, init: RequestInit = {}): Promise<Answer> {
    const { cookie } = this;
    const headers = { ...(cookie !== "" && { cookie }), ...(init.headers as Record<string, string>) };
    const response = await fetch(this.#url + path, { redirect: "manual", ...init, headers });
    const setCookies = response.headers.getSetCookie();
    for (const line of setCookies) this.keep(line);
    const { status } = response;
    return { status, headers: this.#seen(response.headers), setCookies, body: await response.text() };
  }

  /** Returns the data and user of the session. */
  async read(): Promise<{ user: string | null; isNew: boolean; data: Record<string, unknown> }> {
    const answer = await this.get("/read");
    assert.equal(answer.status, 200, answer.body);
    return JSON.parse(answer.body) as never;
  }

  #seen(received: Headers): Headers {
    const names = received
      .get("vary")
      ?.split(",")
      .map((name) => name.trim());
    if (names === undefined || this.#variesBy.length === 0) return received;
    const headers = new Headers(received);
    headers.delete("vary");
    const others = names.filter((name) => !this.#variesBy.includes(name.toLowerCase()));
    if (others.length > 0) headers.set("vary", others.join(", "));
    return headers;
  }

  /** Stores the cookie of a `Set-Cookie` value. */
  keep(line: string): void {
    const [pair = "", ...attributes] = line.split(";").map((part) => part.trim());
    const name = pair.slice(0, pair.indexOf("="));
    const gone = attributes.some((attribute) => {
      const [key, value = ""] = attribute.toLowerCase().split("=");
      return (
        (key === "max-age" && Number(value) <= 0) || (key === "expires" && Date.parse(value) <= Date.now())
      );
    });
    if (gone) this.#jar.delete(name);
    else this.#jar.set(name, pair.slice(pair.indexOf("=") + 1));
  }
}

/**
 * Sends a request whose connection the returned function cuts; it resolves when the connection is closed on this side.
 */
export function abortable(url: string, cookie: string): () => Promise<void> {
  const request = httpRequest(url, { headers: { cookie }, agent: false });
  const closed = new Promise<void>((resolve) => request.once("close", () => resolve()));
  request.on("error", () => {});
  request.end();
  return () => {
    request.destroy();
    return closed;
  };
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}
