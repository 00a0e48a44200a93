/**
 * Takes the pictures in docs/images from the running demo, in a real Chromium: `npx node scripts/screenshots.ts`. Needs a
 * Chromium: CHROMIUM names one, /usr/bin/chromium is the default.
 */
import { join } from "node:path";
import { launchChromium } from "../test/demo/chromium.ts";
import { root, startDemo } from "../test/demo/process.ts";

const demo = await startDemo("npm", ["run", "demo"], 0);
try {
  await using browser = await launchChromium();
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, deviceScaleFactor: 1 });
  await page.goto(demo.url);
  await page.getByRole("button", { name: "Add Sencha" }).click();
  await page.getByRole("button", { name: "Add Dong Ding" }).click();
  await page.goto(`${demo.url}/login`);
  await page.getByLabel(/name/i).fill("Ada Lovelace");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("status").waitFor();
  await page.goto(`${demo.url}/database`);
  const last = await page.getByLabel("Column user_ref").boundingBox();
  await page.screenshot({
    path: join(root, "docs/images/demo-database.png"),
    clip: { x: 0, y: 0, width: 1280, height: Math.round(last!.y + last!.height) },
    fullPage: true,
  });
} finally {
  await demo.stop("SIGTERM");
}
