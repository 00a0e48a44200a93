import { once } from "node:events";
import { Option, type Command } from "commander";
import type { CommonOptions } from "../configuration.ts";
import { exitCodes, Failure } from "../failure.ts";
import { interruptible } from "../interrupt.ts";
import { serveOnce, type Loopback } from "../loopback.ts";
import { operator } from "../operator.ts";
import { count } from "../options.ts";
import type { Terminal } from "../terminal.ts";
import type { NodeMount } from "../../dashboard/index.ts";
import { located, withSessions } from "../work.ts";

interface Options extends CommonOptions {
  port: number;
  readOnly?: boolean;
}

export function dashboardCommand(program: Command, terminal: Terminal): void {
  located(
    program
      .command("dashboard")
      .description("show sessions and events in the browser, on this machine only, until Ctrl-C")
      .addOption(
        new Option("--port <port>", "port on the loopback interface (default: any that is free)")
          .argParser(count)
          .default(0, "any that is free"),
      )
      .option("--read-only", "end, reveal and export nothing"),
  ).action((options: Options) =>
    withSessions(terminal, options, { keys: true, fit: "known", changes: true }, async ({ sessions }) => {
      const { dashboard, toNode } = await import("../../dashboard/index.ts");
      let warmUp: () => Promise<unknown> = async () => undefined;
      const listenerAt = (basePath: string): NodeMount => {
        const handler = dashboard({
          sessions,
          basePath,
          authorize: () => ({
            actor: operator().actor!,
            may: options.readOnly ? ["view", "audit"] : ["view", "audit", "revoke", "reveal", "export"],
          }),
        });
        warmUp = () => handler(new Request(`http://localhost${basePath}/live`));
        return toNode(handler);
      };
      await interruptible(
        terminal,
        async (signal) => {
          const server = await serve(listenerAt, options.port);
          terminal.out.write(
            `Open this link in a browser on this machine. It works once:\n\n  ${server.link}\n\nCtrl-C ends the dashboard.\n`,
          );
          // Loads what draws charts, and begins to count, while the operator opens the link. What fails shows there.
          warmUp().catch(() => {});
          if (!signal.aborted) await once(signal, "abort");
          await server.close();
        },
        "Closing the dashboard.",
      );
    }),
  );
}

async function serve(listenerAt: Parameters<typeof serveOnce>[0], port: number): Promise<Loopback> {
  try {
    return await serveOnce(listenerAt, port);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new Failure(`Port ${port} is in use. Choose another with --port.`, exitCodes.usage);
  }
}
