import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chromium, type Browser } from "playwright-core";

const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const aptGet = "/usr/bin/apt-get";

/** The path of a Chromium, which is installed first where that is possible without asking: as root on Debian. */
export function installedChromium(): string {
  if (!existsSync(executablePath)) install();
  return executablePath;
}

/** Starts Chromium. */
export async function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: installedChromium(),
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"],
  });
}

function install(): void {
  if (process.getuid?.() === 0 && existsSync(aptGet) && process.env["CHROMIUM"] === undefined) {
    const apt = (...words: string[]) => execFileSync(aptGet, words, { stdio: "ignore", env: quiet });
    try {
      apt("update");
      apt("install", "-y", "--no-install-recommends", "chromium");
    } catch {
      // What follows says what to do.
    }
  }
  if (!existsSync(executablePath)) {
    throw new Error(
      `This test needs a browser, and ${executablePath} is not there. Set CHROMIUM to the path of a Chromium or Chrome, or on Debian run:\n` +
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends chromium",
    );
  }
}

const quiet = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
