/** Why this Node cannot run the package, and what to do; null when it can. Bun and Deno give the Node they stand for. */
export function nodeProblem(version: string | undefined = process.versions?.node): string | null {
  const match = /^(\d+)\.(\d+)/.exec(version ?? "");
  if (match === null) return null;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  const least = major === 23 ? 4 : major === 22 ? 13 : 0;
  if (major >= 22 && minor >= least) return null;
  return `stored-session needs Node 22.13 or later (23.4 of Node 23), and this is Node ${version}. Install the current LTS release.`;
}
