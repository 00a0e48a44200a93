import { expect, test } from "vitest";
import { judgePackets } from "./packets.ts";

const MiB = 1_048_576;

test.each([
  // The default of maxBytes, and the defaults of MySQL and MariaDB.
  [64 * MiB, MiB, /^max_allowed_packet=64 MiB$/],
  [16 * MiB, MiB, /^max_allowed_packet=16 MiB$/],
  // A batch of 4 MiB does not fit with what is around it.
  [4 * MiB, MiB, /too small for many sessions in one statement \(up to 4\.0 MiB\)/],
  [MiB, MiB, /too small for a session of maxBytes/],
  [16 * MiB, 16 * MiB, /too small for a session of maxBytes \(16 MiB sealed\)/],
  [16 * MiB, 15 * MiB, /^max_allowed_packet=16 MiB$/],
])("packets of %i bytes and sessions of %i → the batch that fits", (packet, maxSealedBytes, message) => {
  const judged = judgePackets(packet, maxSealedBytes);
  expect(judged.message).toMatch(message);
  expect(judged.level).toBe(message.source.includes("too small") ? "warning" : "good");
});
