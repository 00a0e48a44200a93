import { randomBytes } from "node:crypto";
import { createConnection } from "node:net";
import type { Engine, Running } from "./engine.ts";
import { freePort, run, waitUntil } from "./processes.ts";

/** The first container engine whose service answers, or null. A client alone does not count. */
export async function containerEngine(): Promise<string | null> {
  for (const program of ["docker", "podman"]) {
    if (
      await run(program, ["info"]).then(
        () => true,
        () => false,
      )
    )
      return program;
  }
  return null;
}

/** @param version the tag of the image; its own when null */
export async function startContainer(
  program: string,
  engine: Engine,
  version: string | null,
): Promise<Running> {
  const password = randomBytes(16).toString("hex");
  const port = await freePort();
  const container = `stored-session-${engine.name}-${port}`;
  const environment = engine.image.environment(password).flatMap((value) => ["-e", value]);
  await run(program, [
    "run",
    "-d",
    "--rm",
    "--name",
    container,
    "-p",
    `127.0.0.1:${port}:${engine.image.port}`,
    ...environment,
    `${engine.image.name}:${version ?? engine.image.tag}`,
  ]);
  const logs = async (): Promise<boolean> => speaks(port);
  await waitUntil(logs, { pid: null, name: `${engine.name} in ${program}` }, 180_000);
  return { url: engine.image.url(port, password), pid: null, port, container };
}

export async function stopContainer(container: string): Promise<void> {
  const program = await containerEngine();
  if (program) await run(program, ["rm", "-f", container]).catch(() => undefined);
}

/** MySQL greets first, PostgreSQL answers an SSL request; a proxy in front of a starting server does neither. */
function speaks(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, () => end(false));
    socket.once("connect", () => socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])));
    socket.once("data", () => end(true));
    socket.once("error", () => end(false));
    socket.once("close", () => end(false));
  });
}
