import { moment } from "./sources.ts";

/** A column, the field that it holds, and how its text is read. */
export interface Column {
  readonly name: string;
  readonly field: string;
  readonly kind: "text" | "number" | "boolean" | "json" | "instant";
  /** Whether the database has a time there, and not its number or text. */
  readonly isTime: boolean;
}

/** Fields that are times or yes or no, whatever the type of their column: SQLite has numbers and texts for both. */
const instants = ["expires", "expiresAt", "createdAt", "updatedAt", "banExpires"];
const booleans = ["emailVerified", "banned", "twoFactorEnabled", "isAnonymous", "phoneNumberVerified"];

/** The columns that hold these fields: of the same name, but for case and underscores. */
export function columnsIn(
  rows: readonly Record<string, unknown>[],
  fields: readonly string[],
): { readonly columns: readonly Column[]; readonly others: readonly string[] } {
  const types = new Map(rows.map(({ name, type }) => [String(name), String(type).toLowerCase()]));
  const columns = fields.flatMap((field): Column[] => {
    const name = types.has(field) ? field : [...types.keys()].find((one) => bare(one) === bare(field));
    if (name === undefined) return [];
    const type = types.get(name)!;
    return [{ name, field, kind: kindOf(field, type), isTime: /date|time/.test(type) }];
  });
  const taken = new Set(columns.map(({ name }) => name));
  return { columns, others: [...types.keys()].filter((name) => !taken.has(name)) };
}

function bare(name: string): string {
  return name.replaceAll("_", "").toLowerCase();
}

function kindOf(field: string, type: string): Column["kind"] {
  if (instants.includes(field) || /date|time/.test(type)) return "instant";
  if (booleans.includes(field) || /bool|tinyint\(1\)/.test(type)) return "boolean";
  // The library has ids as text, also where the database counts.
  if (/(^i|I)d$/.test(field)) return "text";
  if (/json|\[\]$/.test(type)) return "json";
  return /int|real|double|float|numeric|decimal|serial/.test(type) ? "number" : "text";
}

/** A value as the library has it in JSON. */
export function valueOf({ kind }: Column, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (kind === "instant") {
    const time = moment(value);
    return Number.isNaN(new Date(time).getTime()) ? null : new Date(time).toISOString();
  }
  const text = String(value);
  if (kind === "boolean") return /^(1|t|true)$/i.test(text);
  if (kind === "number")
    return Number.isSafeInteger(Number(text)) || text.includes(".") ? Number(text) : text;
  if (kind !== "json") return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
