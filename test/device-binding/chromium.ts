/** A real Chromium with device-bound sessions, headless, whose keys are in software. */
import { createHash, X509Certificate } from "node:crypto";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext } from "playwright-core";
import { installedChromium } from "../demo/chromium.ts";

/** Chromium has no device-bound sessions on localhost. */
export const host = "app.example.com";
/** Of another site. */
export const otherHost = "other.example.org";

export interface Certificate {
  readonly key: Buffer;
  readonly cert: Buffer;
  /** SHA-256 of the public key, by which the browser trusts the certificate. */
  readonly spki: string;
}

/** A certificate for {@link host} that signs itself. */
export function certificate(): Certificate {
  const folder = mkdtempSync(join(tmpdir(), "stored-session-tls-"));
  try {
    const [keyFile, certFile] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const words = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=${host} -addext subjectAltName=DNS:${host},DNS:${otherHost}`;
    execFileSync("openssl", [...words.split(" "), "-keyout", keyFile, "-out", certFile], { stdio: "ignore" });
    const cert = readFileSync(certFile);
    const spki = new X509Certificate(cert).publicKey.export({ type: "spki", format: "der" });
    return { key: readFileSync(keyFile), cert, spki: createHash("sha256").update(spki).digest("base64") };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A browser profile of its own, with its own keys and cookies. Closing it keeps the profile. */
export function openProfile(folder: string, { spki }: Certificate): Promise<BrowserContext> {
  const features = [
    "DeviceBoundSessions:ForceEnableForTesting/true",
    "EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
    "PersistDeviceBoundSessions",
  ];
  return chromium.launchPersistentContext(folder, {
    executablePath: installedChromium(),
    args: [
      "--no-sandbox",
      "--disable-dev-shm-usage",
      "--disable-gpu",
      `--host-resolver-rules=MAP ${host} 127.0.0.1,MAP ${otherHost} 127.0.0.1`,
      // Any other way to accept the certificate leaves an error on the connection, with which Chromium binds nothing.
      `--ignore-certificate-errors-spki-list=${spki}`,
      `--enable-features=${features.join(",")}`,
    ],
  });
}
