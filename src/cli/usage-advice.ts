import type { Command } from "commander";

const locations = new Set(["-c", "--config", "-d", "--database-url", "--table", "--app"]);

/** What to do about an option that commander does not know, where more can be said than that. Null otherwise. */
export function adviceOn(error: string, args: readonly string[], program: Command): string | null {
  const option = /unknown option '([^']*)'/.exec(error)?.[1]?.split("=")[0];
  if (option === undefined) return null;
  const at = args.findIndex((arg) => arg === option || arg.startsWith(`${option}=`));
  const name = args.find((arg) => program.commands.some((command) => command.name() === arg));
  if (name === undefined) {
    const takes = program.commands.filter((command) => knows(command, option)).map((one) => one.name());
    if (takes.length === 0) return null;
    return `A command comes first, such as: stored-session ${takes.includes("check") ? "check" : takes[0]!} ${option} …`;
  }
  const command = program.commands.find((one) => one.name() === name)!;
  const sub = command.commands.find((one) => args.includes(one.name())) ?? command;
  const full = sub === command ? name : `${name} ${sub.name()}`;
  if (knows(sub, option)) {
    return at < args.indexOf(name) ? `Options follow the command: stored-session ${full} ${option} …` : null;
  }
  if (!locations.has(option)) return null;
  if (sub.commands.length > 0) {
    const subs = sub.commands.map((one) => one.name());
    return `Say which command of "${full}": ${subs.join(", ")}.`;
  }
  const other =
    name === "generate" && option.startsWith("-d") ? " Use --dialect for the kind of database." : "";
  return `"${full}" uses no database.${other}`;
}

function knows(command: Command, option: string): boolean {
  return command.options.some(({ short, long }) => short === option || long === option);
}
