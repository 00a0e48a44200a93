import { execFileSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Browsers bind no sessions on localhost, so the demo has a name, which the browser is told to find on this machine. */
export const host = "shop.example.com";

export interface Tls {
  readonly key: Buffer;
  readonly cert: Buffer;
  /** The command that opens a Chromium which trusts the certificate, with a profile of its own. */
  command(port: number): string;
}

/** A certificate that signs itself, made by openssl at the first start. */
export function tlsIn(folder: string): Tls {
  const [keyFile, certFile] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  if (!existsSync(certFile)) {
    mkdirSync(folder, { recursive: true });
    const words = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=${host} -addext subjectAltName=DNS:${host}`;
    execFileSync("openssl", [...words.split(" "), "-keyout", keyFile, "-out", certFile], { stdio: "ignore" });
  }
  const cert = readFileSync(certFile);
  const der = new X509Certificate(cert).publicKey.export({ type: "spki", format: "der" });
  const spki = createHash("sha256").update(der).digest("base64");
  return {
    key: readFileSync(keyFile),
    cert,
    command: (port) =>
      [
        "chromium",
        `--user-data-dir=${join(folder, "profile")}`,
        `--host-resolver-rules="MAP ${host} 127.0.0.1"`,
        `--ignore-certificate-errors-spki-list=${spki}`,
        `--enable-features=${features.join(",")}`,
        `https://${host}:${port}`,
      ].join(" \\\n      "),
  };
}

/** Chrome on Windows needs none of these. Elsewhere, the keys are in software. */
const features = [
  "DeviceBoundSessions:ForceEnableForTesting/true",
  "EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
  "PersistDeviceBoundSessions",
];
