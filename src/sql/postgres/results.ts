/** What the values of an answer are, by the oid of their type. Every other type is the text that the server sent. */
const PARSERS: Readonly<Record<number, (value: string) => unknown>> = {
  16: (value) => value === "t",
  17: (value) => Buffer.from(value.slice(2), "hex"),
  21: Number,
  23: Number,
  700: Number,
  701: Number,
};

/** The same for every driver, whatever parsers the application has set. */
export function parserOf(oid: number): (value: string) => unknown {
  return PARSERS[oid] ?? String;
}
