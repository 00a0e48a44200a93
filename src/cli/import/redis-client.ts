import { OptionsError } from "../../errors.ts";
import { reasonOf } from "../../shared/reason.ts";
import { driverProblem, exportsOf } from "../../sql/load-driver.ts";
import { exitCodes, Failure } from "../failure.ts";

/** A connection to Redis. Commands that are sent together travel together. */
export interface RedisConnection {
  send(...command: string[]): Promise<unknown>;
  close(): void;
}

/** What is used of the package redis. */
interface NodeRedis {
  createClient(options: object): {
    on(event: "error", listener: () => void): unknown;
    connect(): Promise<unknown>;
    sendCommand(command: string[]): Promise<unknown>;
    destroy(): void;
  };
}

/** What is used of the package ioredis. */
type IoRedis = new (
  url: string,
  options: object,
) => {
  on(event: "error", listener: (error: Error) => void): unknown;
  connect(): Promise<unknown>;
  call(command: string, ...args: string[]): Promise<unknown>;
  disconnect(): void;
};

/** Early versions export nothing but the class itself. */
const ioRedisOf = (exported: IoRedis | { readonly Redis: IoRedis }): IoRedis =>
  "Redis" in exported ? exported.Redis : exported;

const connectTimeout = 10_000;

/**
 * Connects with the client library that the application has: redis, or else ioredis.
 * @param url `redis://` or, over TLS, `rediss://`
 * @throws {Failure} not a URL, or the connection failed; never shows the URL, which may contain a password
 */
export async function connectRedis(url: string): Promise<RedisConnection> {
  assertUrl(url);
  const open = await load();
  try {
    return await open(url);
  } catch (error) {
    throw new Failure(
      `Redis could not be reached: ${reasonOf(error)}. Check that it is running, and host, port, user and password in --from. For TLS use rediss://. Nothing was changed.`,
      exitCodes.failed,
      { cause: error },
    );
  }
}

async function load(): Promise<(url: string) => Promise<RedisConnection>> {
  const why = "import connect-redis reads Redis";
  try {
    const driver = exportsOf<NodeRedis>(await import("redis"), ({ createClient }) => createClient);
    return (url) => throughNodeRedis(driver, url);
  } catch (error) {
    const problem = driverProblem(error, { name: "redis", why, otherwise: "install ioredis" });
    if (!isMissing(problem)) throw problem;
    try {
      const driver = exportsOf<Parameters<typeof ioRedisOf>[0]>(await import("ioredis"), ioRedisOf);
      return (url) => throughIoRedis(ioRedisOf(driver), url);
    } catch (second) {
      const other = driverProblem(second, { name: "ioredis", why, otherwise: "" });
      throw isMissing(other) ? problem : other;
    }
  }
}

function isMissing(problem: OptionsError): boolean {
  return problem.message.includes("npm install");
}

async function throughNodeRedis({ createClient }: NodeRedis, url: string): Promise<RedisConnection> {
  const client = createClient({ url, socket: { reconnectStrategy: false, connectTimeout } });
  // Commands report errors; an unheard event would end the process.
  client.on("error", () => {});
  await client.connect();
  return {
    send: (...command) => client.sendCommand(command),
    close() {
      try {
        client.destroy();
      } catch {
        // Early versions throw if the connection is broken. The command that noticed it has said so.
      }
    },
  };
}

async function throughIoRedis(Redis: IoRedis, url: string): Promise<RedisConnection> {
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
  });
  let last: Error | undefined;
  client.on("error", (error) => (last = error));
  try {
    await client.connect();
    // It connects also where the server refuses the user, and says so with the first command.
    await client.call("PING");
  } catch (error) {
    client.disconnect();
    throw last ?? error;
  }
  return { send: (name, ...rest) => client.call(name!, ...rest), close: () => client.disconnect() };
}

function assertUrl(url: string): void {
  const isUrl = /^rediss?:\/\//i.test(url) && URL.canParse(url);
  if (isUrl) return;
  throw new Failure(
    'The address of Redis must be a URL such as redis://user:password@host:6379/0, or rediss:// for TLS. (It is not shown, because it may contain a password.) Percent-encode special characters in the user and the password: "/" as %2F, "#" as %23, "@" as %40, ":" as %3A, "%" as %25.',
    exitCodes.usage,
  );
}
