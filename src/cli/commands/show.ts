import type { Command } from "commander";
import { exportRow, infoOf, refusalOf, rowOf } from "../../operator/admin.ts";
import type { CommonOptions } from "../configuration.ts";
import { exitCodes, Failure } from "../failure.ts";
import { shown, table } from "../format.ts";
import { ago, bytes, moment, remaining } from "../../shared/wording.ts";
import { opensAlone } from "../../session/format.ts";
import { note } from "../operator.ts";
import { wrapped, type Terminal } from "../terminal.ts";
import { printable } from "../../shared/printable.ts";
import { otherSettings, report, reporting, withSessions } from "../work.ts";

interface Options extends CommonOptions {
  reveal?: boolean;
}

export function showCommand(program: Command, terminal: Terminal): void {
  reporting(
    program
      .command("show")
      .argument("<handle>", "as printed by list")
      .description("show one session: times, address, size, key")
      .option("--reveal", "also show its user and data (impossible if they are sealed to the cookie)"),
  ).action((handle: string, options: Options) =>
    withSessions(terminal, options, { keys: true }, async (place) => {
      const { records } = place;
      const { format } = records.settings;
      const sealed = () =>
        new Failure(
          'These sessions are sealed to their cookies (sealTo: "cookie"): they cannot be decrypted here. Leave out --reveal.',
          exitCodes.usage,
        );
      if (options.reveal && !format.opensWithoutToken && format.needsToken === undefined) throw sealed();
      const row = await rowOf(records, handle);
      if (row === null) throw new Failure(`No stored session has the handle ${printable(handle)}.`);
      if (options.reveal && !opensAlone(format, row)) throw sealed();
      const info = infoOf(records, row);
      const key = format.sealedUnder?.(row).data ?? null;
      const opened = options.reveal ? exportRow(records, row) : null;
      if (opened !== null && opened.unreadable !== null) {
        const { unreadable } = opened;
        const why = refusalOf(records, row)?.message ?? `It was refused for its ${unreadable}.`;
        throw new Failure(`The session cannot be decrypted. ${why}${otherSettings(place, unreadable)}`);
      }
      if (opened !== null) {
        const user = opened.user;
        await note(records, "data.revealed", { handle: info.handle, ...(user !== undefined && { user }) });
      }
      const value = {
        ...info,
        key,
        ...(opened && { user: opened.user, data: opened.data, flash: opened.flash }),
      };
      const fieldLines = (): string[] => {
        const now = records.now();
        const fields: [string, string][] = [
          ["handle", info.handle],
          ["created", `${moment(info.createdAt)} (${ago(info.createdAt, now)})`],
          ["last used", `${moment(info.updatedAt)} (${ago(info.updatedAt, now)})`],
          ["ends", `${moment(info.expiresAt)} (${remaining(info.expiresAt, now)})`],
          ["signed in", info.signedIn ? "yes" : "no"],
          ["address", printable(info.client?.address ?? "unknown")],
          ["user agent", printable(info.client?.userAgent ?? "unknown")],
          ["sealed size", bytes(info.bytes)],
          ["key", key ?? "unnamed"],
        ];
        if (info.deviceBound) fields.push(["device", "bound: the cookie is useless on another one"]);
        if (opened !== null) fields.push(["user", printable(opened.user ?? "none")]);
        const valuesAt = 2 + Math.max(...fields.map(([name]) => name.length));
        return table(["", ""], fields)
          .slice(1)
          .map((line) => wrapped(terminal.out, line, valuesAt));
      };
      const colors = terminal.out.isTTY === true && !terminal.env["NO_COLOR"];
      const dataLines = (): string[] =>
        opened === null
          ? []
          : ["", `data   ${shown(opened.data, colors)}`, `flash  ${shown(opened.flash, colors)}`];
      report(terminal, options, value, fieldLines, dataLines);
    }),
  );
}
