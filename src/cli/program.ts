import { readFileSync } from "node:fs";
import { Command, Help } from "commander";
import { auditCommand } from "./commands/audit.ts";
import { checkCommand } from "./commands/check.ts";
import { countCommand } from "./commands/count.ts";
import { dashboardCommand } from "./commands/dashboard.ts";
import { eraseCommand } from "./commands/erase.ts";
import { expireCommand } from "./commands/expire.ts";
import { exportCommand } from "./commands/export.ts";
import { generateCommand } from "./commands/generate.ts";
import { importCommand } from "./commands/import.ts";
import { initCommand } from "./commands/init.ts";
import { keysCommand } from "./commands/keys.ts";
import { listCommand } from "./commands/list.ts";
import { migrateCommand } from "./commands/migrate.ts";
import { resealCommand } from "./commands/reseal.ts";
import { revokeCommand } from "./commands/revoke.ts";
import { showCommand } from "./commands/show.ts";
import { statsCommand } from "./commands/stats.ts";
import { idOf } from "../session/handle.ts";
import { Declined, exitCodes, explain } from "./failure.ts";
import { adviceOn } from "./usage-advice.ts";
import { printableLines } from "../shared/printable.ts";
import { styled, wrapped, type Terminal } from "./terminal.ts";

const groups = [
  ["Setting up:", [initCommand, checkCommand, migrateCommand, generateCommand, importCommand]],
  ["Sessions:", [countCommand, statsCommand, listCommand, showCommand, revokeCommand, expireCommand]],
  ["A user's data:", [exportCommand, eraseCommand]],
  ["Audit trail:", [auditCommand]],
  ["Dashboard:", [dashboardCommand]],
  ["Keys:", [keysCommand, resealCommand]],
] as const;

const examples = `
Examples:
  $ stored-session init
  $ stored-session list --user 42
  $ stored-session expire --dry-run
  $ stored-session stats --json -d postgres://app@db/app

Exit codes: 0 done, 1 failed, 2 wrong usage or
configuration, 3 migrations pending, 130 stopped.`;

/** Runs one command line and answers its exit code. */
export async function runCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const program = new Command("stored-session");
  program
    .description("Set up and operate Stored Session: tables, sessions and keys.")
    .version(version(), "-v, --version", "print the version")
    .helpOption("-h, --help", "show help; each command has its own")
    .helpCommand(false)
    .configureHelp({ subcommandTerm: termOf, minWidthToWrap: 16, formatItem })
    .configureOutput({
      writeOut: (text) => terminal.out.write(text),
      writeErr: (text) => terminal.err.write(text),
      // It repeats arguments, which scripts may have from elsewhere (R50).
      outputError: (text, write) => {
        const said = printableLines(text).replace(/^error: (.)/, (_, letter: string) =>
          fail(terminal, letter.toUpperCase()),
        );
        const advice = adviceOn(text, args, program);
        write(advice === null ? said : `${said}${printableLines(advice)}\n`);
      },
      getOutHelpWidth: () => terminal.out.columns ?? 80,
      getErrHelpWidth: () => terminal.err.columns ?? 80,
      getOutHasColors: () => terminal.out.isTTY === true && !terminal.env["NO_COLOR"],
      getErrHasColors: () => terminal.err.isTTY === true && !terminal.env["NO_COLOR"],
    })
    .exitOverride()
    .showHelpAfterError("(Use --help for the commands and options.)")
    .addHelpText("after", examples);
  for (const [heading, commands] of groups) {
    program.commandsGroup(heading);
    for (const add of commands) add(program, terminal);
  }
  inherit(program);

  try {
    if (args.length === 0) program.help();
    await program.parseAsync(withHandles(args, program), { from: "user" });
    return exitCodes.done;
  } catch (error) {
    const { message, exitCode } = explain(error);
    // Who pressed Ctrl-C or said no knows that nothing failed.
    const isStop = exitCode === exitCodes.interrupted || error instanceof Declined;
    if (message !== null) {
      terminal.err.write(`${wrapped(terminal.err, isStop ? message : fail(terminal, message))}\n`);
    }
    return exitCode;
  }
}

function fail(terminal: Terminal, message: string): string {
  return `${styled(terminal.err, terminal.env, "red", "Error:")} ${message}`;
}

/**
 * One handle in 64 begins with a hyphen. It goes behind "--", where it is not taken for an option; what an option takes
 * as its value stays where it is.
 */
function withHandles(args: readonly string[], program: Command): string[] {
  const { options = [] } = program.commands.find((command) => command.name() === args[0]) ?? {};
  const takesValue = (arg: string | undefined) =>
    options.some(
      ({ short, long, required, optional }) => (required || optional) && (arg === short || arg === long),
    );
  const isHandle = (arg: string, index: number) =>
    /^-[\w-]{42}$/.test(arg) && idOf(arg) !== null && !takesValue(args[index - 1]);
  const handles = args.filter(isHandle);
  if (handles.length === 0 || args.includes("--")) return [...args];
  return [...args.filter((arg, index) => !isHandle(arg, index)), "--", ...handles];
}

/** Columns for descriptions beside their terms. With fewer, they stand below them, so that no word is broken. */
const leastBeside = 36;

function formatItem(term: string, termWidth: number, description: string, helper: Help): string {
  const width = helper.helpWidth ?? 80;
  if (width - termWidth - 4 >= leastBeside || description === "") {
    return Help.prototype.formatItem.call(helper, term, termWidth, description, helper);
  }
  const below = helper.boxWrap(description, width - 6).replaceAll(/^/gm, "      ");
  return `  ${term}\n${below}`;
}

/** A command's name and arguments, without the word [options] in every line. */
function termOf(command: Command): string {
  const names = command.registeredArguments.map((argument) =>
    argument.required ? ` <${argument.name()}>` : ` [${argument.name()}]`,
  );
  return command.name() + names.join("");
}

/** Commander copies settings into commands that are made after them; `exitOverride` of the program is one. */
function inherit(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command).helpCommand(false);
    inherit(child);
  }
}

function version(): string {
  const read = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return read.version;
}
