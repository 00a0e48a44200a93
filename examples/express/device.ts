/** "Firefox on Windows": enough to recognise one's own devices in a list. */
export function deviceName(userAgent: string | undefined): string {
  if (!userAgent) return "Unknown device";
  const browser = nameIn(userAgent, browsers) ?? "A browser";
  const system = nameIn(userAgent, systems);
  return system ? `${browser} on ${system}` : browser;
}

// The first match counts: Edge and Opera also say Chrome, and Chrome also says Safari.
const browsers: readonly [RegExp, string][] = [
  [/Edg\//, "Edge"],
  [/OPR\//, "Opera"],
  [/Firefox\/|FxiOS\//, "Firefox"],
  [/Chrom(e|ium)\/|CriOS\//, "Chrome"],
  [/Safari\//, "Safari"],
  [/^curl\//, "curl"],
];

const systems: readonly [RegExp, string][] = [
  [/iPhone/, "iPhone"],
  [/iPad/, "iPad"],
  [/Android/, "Android"],
  [/Windows/, "Windows"],
  [/Mac OS X|Macintosh/, "macOS"],
  [/CrOS/, "ChromeOS"],
  [/Linux/, "Linux"],
];

function nameIn(userAgent: string, names: readonly [RegExp, string][]): string | undefined {
  return names.find(([pattern]) => pattern.test(userAgent))?.[1];
}

export function isPhone(userAgent: string | undefined): boolean {
  return /iPhone|Android.*Mobile/.test(userAgent ?? "");
}
