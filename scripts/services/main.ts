/** `node scripts/services/main.ts start|stop|status [postgres] [mysql] [mariadb]`: servers that stay between test runs. */
import { type ServerName, serverNames } from "./engine.ts";
import { provide, status, stop, variable } from "./services.ts";

const [command = "status", ...given] = process.argv.slice(2);
const unknown = given.filter((name) => !serverNames.includes(name as ServerName));
if (unknown.length > 0 || !["start", "stop", "status"].includes(command)) {
  console.error(`usage: services start|stop|status [${serverNames.join("] [")}]`);
  process.exit(2);
}
const names = given.length > 0 ? (given as ServerName[]) : serverNames;

try {
  if (command === "stop") console.log(`stopped: ${(await stop(names)).join(", ") || "nothing was running"}`);
  else {
    const urls = command === "start" ? await provide(names, { keep: true }) : await status();
    for (const name of names) console.log(`${variable(name)}=${urls[name] ?? ""}`);
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
