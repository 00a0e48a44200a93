/** The runtimes beside the Node that runs `npm test`, each from its npm package. */
import { fetchedProgram } from "../drivers/fetched.ts";

export interface Runtime {
  /** As README's table has it. */
  readonly name: "Node" | "Bun" | "Deno";
  readonly version: string;
  /** Words between the program and the script: one that may do anything, in TypeScript. */
  readonly options: readonly string[];
  /** What processes that it starts need to do the same. */
  readonly env: Readonly<Record<string, string>>;
  program(): Promise<string>;
}

const { platform, arch } = process;

/** The oldest Node that package.json allows. */
export const oldestNode: Runtime = node("22.13.0", {
  NODE_OPTIONS: "--experimental-strip-types --disable-warning=ExperimentalWarning",
});
export const newestNode: Runtime = node("26.10.0", {});
export const bun: Runtime = {
  name: "Bun",
  version: "1.4.5",
  options: ["--bun"],
  env: {},
  program: () =>
    fetchedProgram(`@oven/bun-${platform}-${arch === "arm64" ? "aarch64" : arch}@1.4.5`, "bin/bun"),
};
export const deno: Runtime = {
  name: "Deno",
  version: "2.9.6",
  options: ["run", "-A", "--no-check"],
  env: {},
  program: () =>
    fetchedProgram(`@deno/${platform}-${arch}${platform === "linux" ? "-glibc" : ""}@2.9.6`, "deno"),
};

export const runtimes: readonly Runtime[] = [oldestNode, newestNode, bun, deno];

function node(version: string, env: Runtime["env"]): Runtime {
  return {
    name: "Node",
    version,
    options: [],
    env,
    program: () => fetchedProgram(`node-${platform}-${arch}@${version}`, "bin/node"),
  };
}
