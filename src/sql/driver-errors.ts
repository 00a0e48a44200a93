import { ClosedError, StoreDriverError, StoreTimeoutError, StoreUnavailableError } from "../errors.ts";
import type { StoreError, StoreErrorOptions } from "../errors.ts";
import { reasonOf } from "../shared/reason.ts";

/** Classifies errors of a client library that the database itself did not report. */
export type DriverFault =
  /** The server could not be reached, or the connection was lost. */
  | "connection"
  /** The driver's own timeout ended the statement. */
  | "timeout"
  /** The application ended the pool. */
  | "closed"
  /** Anything else, such as a TypeError, a bad argument or a bug. Not an outage. */
  | "driver";

/** Error codes of the operating system, DNS and the drivers. */
const CONNECTION =
  /^(E(CONN[A-Z]+|PIPE|TIMEDOUT|TIMEOUT|NETUNREACH|NETDOWN|NETRESET|HOSTUNREACH|HOSTDOWN|NOTFOUND|ADDRNOTAVAIL|SERVFAIL|REFUSED|PROTO|AI_[A-Z]+)|PROTOCOL_[A-Z_]+|HANDSHAKE_[A-Z_]+|AUTH_SWITCH_[A-Z_]+|POOL_[A-Z]+|CONNECTION_(CLOSED|DESTROYED)|CONNECT_TIMEOUT)$/;

/** Error codes of TLS and streams. */
const TRANSPORT =
  /^(ERR_(TLS|SSL|STREAM|SOCKET_CLOSED|SOCKET_CONNECTION)[A-Z_]*|CERT_[A-Z_]+|[A-Z_]*SELF_SIGNED_CERT[A-Z_]*|UNABLE_TO_[A-Z_]+|HOSTNAME_MISMATCH)$/;

/** node-postgres and mysql2 give these no code. */
const BROKEN =
  /^(Connection (terminated|lost|ended)|timeout expired|timeout exceeded when trying to connect|Client (has encountered a connection error|was closed)|Can't (add new command when connection|write) |The server does not support SSL|There was an error establishing an SSL|Server does not support secure|Received unexpected \w+ message from backend|Unexpected packet|Queue limit reached|No connections available|connect ETIMEDOUT)/;

const ENDED = /^(Pool is closed|Cannot use a pool after calling end)/;

/** Errors of statements that were never sent, because no connection could be opened for them. */
export const neverSent: WeakSet<object> = new WeakSet();

/** Distinguishes an outage from a bug, for errors without a database error code. */
export function driverFault(error: unknown): DriverFault {
  if (!(error instanceof Error)) return isEventOfError(error) ? "connection" : "driver";
  if (error instanceof AggregateError && error.errors.length > 0) {
    const faults = error.errors.map(driverFault);
    return faults.includes("connection") ? "connection" : (faults[0] as DriverFault);
  }
  const { code, syscall, fatal } = error as { code?: unknown; syscall?: unknown; fatal?: unknown };
  if (ENDED.test(error.message) || code === "CONNECTION_ENDED") return "closed";
  if (error.message === "Query read timeout" || code === "PROTOCOL_SEQUENCE_TIMEOUT") return "timeout";
  if (typeof code === "string" && (CONNECTION.test(code) || TRANSPORT.test(code))) return "connection";
  // A missing or inaccessible socket file, or a process that ran out of file descriptors.
  if (syscall === "connect" || syscall === "getaddrinfo") return "connection";
  if (error instanceof TypeError || error instanceof RangeError) return "driver";
  // mysql2 marks errors that end a connection.
  return fatal === true || BROKEN.test(error.message) ? "connection" : "driver";
}

/** A WebSocket reports by an event that it broke. */
function isEventOfError(error: unknown): boolean {
  return error instanceof Event && (error.type === "error" || error.type === "close");
}

/** Whether another connection might succeed. */
export function isConnectionError(error: unknown): boolean {
  return driverFault(error) === "connection";
}

/**
 * Converts an error without a database error code into one of ours.
 * @param outcome what is known about a write if the connection was lost
 */
export function explainDriver(
  error: unknown,
  server: string,
  store: string,
  outcome: "none" | "unknown",
): StoreError {
  const isUnsent = typeof error === "object" && error !== null && neverSent.has(error);
  const options: StoreErrorOptions = { cause: error, outcome: isUnsent ? "none" : outcome };
  switch (driverFault(error)) {
    case "connection":
      return new StoreUnavailableError(
        `${server} could not be reached, or the connection was lost (${codeOf(error) ?? messageOf(error)}). ` +
          "Check that the server is running, that the pool is large enough, and that the network lets it through.",
        options,
      );
    case "timeout":
      return new StoreTimeoutError(
        `The driver's own timeout ended the statement (${messageOf(error)}). Raise query_timeout of the pool given to ${store}, or find out why the server is slow.`,
        options,
      );
    case "closed":
      return new ClosedError(
        `The application ended the pool given to ${store} (${messageOf(error)}). End the pool after sessions.close().`,
        options,
      );
    case "driver":
      return new StoreDriverError(
        `The driver failed: ${nameOf(error)}${messageOf(error)}. The server did not report an error. Check the stack trace in \`cause\` and the settings of the pool given to ${store}.`,
        { ...options, mayBeOneRow: true },
      );
  }
}

/** Of an AggregateError, use the first member with a code: the message of the aggregate is empty. */
function codeOf(error: unknown): string | null {
  const { code } = (error ?? {}) as { code?: unknown };
  if (typeof code === "string") return code;
  return error instanceof AggregateError
    ? (error.errors.map(codeOf).find((one) => one !== null) ?? null)
    : null;
}

function nameOf(error: unknown): string {
  return error instanceof Error && error.name !== "Error" ? `${error.name}: ` : "";
}

function messageOf(error: unknown): string {
  return reasonOf(error).replace(/\.$/, "");
}
