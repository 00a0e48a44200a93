/**
 * What a number of sessions takes, from measured costs: `npm run simulate -- --sessions 1e9 --shards 64`.
 *
 * --requests N   requests per second, a ten-thousandth of the sessions unless given
 * --writes N     share of requests that change their session, 0.1 unless given
 * --bytes N      bytes of a session's content, 300 unless given
 * --processes N  application processes, one per 5,000 requests unless given
 */
import { parseArgs } from "node:util";
import { simulate, type Load } from "./simulation.ts";

const { values } = parseArgs({
  options: Object.fromEntries(
    ["sessions", "shards", "requests", "writes", "bytes", "processes"].map((name) => [
      name,
      { type: "string" as const },
    ]),
  ),
});

function number(name: keyof typeof values): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  console.error(`--${name} is ${text}. Use a number above 0, such as 64 or 1e9.`);
  process.exit(2);
}

const load: Load = {
  sessions: number("sessions") ?? 1e6,
  shards: number("shards") ?? 1,
  requests: number("requests"),
  writes: number("writes"),
  bytes: number("bytes"),
  processes: number("processes"),
};
const width = 32;
for (const [what, value] of Object.entries(simulate(load).lines)) console.log(what.padEnd(width), value);
