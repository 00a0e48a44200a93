/** Places outside of the database that keep checkpoints: pass one of these as `audit: { anchor }`. */
import { assertOptions, integerFrom, isText, maxTimer, type OptionCheck } from "../shared/option-checks.ts";
import { createSocket } from "node:dgram";
import { appendFile } from "node:fs/promises";
import { hostname } from "node:os";
import { AuditError } from "../errors.ts";
import type { Anchored } from "./checkpoint.ts";

const isHeaders: OptionCheck = (value) =>
  typeof value === "object" && value !== null && Object.values(value).every((one) => typeof one === "string")
    ? null
    : "use an object of texts";

export type Anchor = (checkpoint: Anchored) => Promise<void>;

/**
 * Appends each checkpoint to a file, one JSON object a line: what `audit verify --anchors` reads. Put it on a disk that the
 * database's administrators cannot write, or that takes appends only.
 */
export function fileAnchor(path: string): Anchor {
  if (typeof path !== "string" || path === "") throw new TypeError("fileAnchor requires the path of a file.");
  return (checkpoint) => appendFile(path, `${JSON.stringify(checkpoint)}\n`, { mode: 0o600 });
}

/**
 * Posts each checkpoint as JSON. A status other than 2xx, or no answer within `timeout` milliseconds (5,000 unless given), is a
 * failure, which is reported as a process warning.
 */
export function webhookAnchor(
  url: string | URL,
  options: { readonly headers?: Readonly<Record<string, string>>; readonly timeout?: number } = {},
): Anchor {
  if (!URL.canParse(String(url))) throw new TypeError("webhookAnchor requires a URL.");
  assertOptions("webhookAnchor", options, { headers: isHeaders, timeout: integerFrom(1, maxTimer) });
  return async (checkpoint) => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...options.headers },
      body: JSON.stringify(checkpoint),
      redirect: "error",
      signal: AbortSignal.timeout(options.timeout ?? 5_000),
    });
    await response.body?.cancel();
    if (!response.ok) throw new AuditError(`The anchor answered with status ${response.status}.`);
  };
}

/**
 * Sends the number and hash of each checkpoint to a syslog server over UDP (RFC 5424, RFC 5426), facility log audit (13), severity
 * notice. Syslog over UDP is not acknowledged.
 */
export function syslogAnchor(
  options: { readonly host?: string; readonly port?: number; readonly app?: string } = {},
): Anchor {
  assertOptions("syslogAnchor", options, { host: isText, port: integerFrom(1, 65_535), app: isText });
  const { host = "127.0.0.1", port = 514, app = "stored-session" } = options;
  return async ({ number, at, hash, signature }) => {
    const id = `[checkpoint@32473 number="${number}" hash="${hash}" signature="${signature}"]`;
    const message = `<109>1 ${at.toISOString()} ${hostname()} ${app} ${process.pid} CHECKPOINT ${id} ${JSON.stringify({ number, hash })}`;
    const family = host.includes(":") ? "udp6" : "udp4";
    const socket = createSocket(family);
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once("error", reject);
        socket.send(message, port, host, (error) => (error ? reject(error) : resolve()));
      });
    } finally {
      socket.close();
    }
  };
}
