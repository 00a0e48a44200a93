/** Whether the text contains a lone surrogate, which UTF-8 cannot encode. */
export function hasLoneSurrogate(value: string): boolean {
  return /\p{Surrogate}/u.test(value);
}

export function text(value: string, what: string): string {
  if (typeof value !== "string" || hasLoneSurrogate(value)) {
    throw new TypeError(`${what} must be a string without lone surrogates.`);
  }
  return value;
}

const symbols = new Map<string, WeakRef<RubySymbol>>();
const forgotten = new FinalizationRegistry<string>((name) => {
  if (symbols.get(name)?.deref() === undefined) symbols.delete(name);
});

/**
 * A Symbol such as `:sku`. There is one object for each name, so `===` and `map.get(RubySymbol.for("sku"))` work.
 */
export class RubySymbol {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
    Object.freeze(this);
  }

  static for(name: string): RubySymbol {
    const known = symbols.get(name)?.deref();
    if (known !== undefined) return known;
    const made = new RubySymbol(text(name, "A symbol's name"));
    symbols.set(name, new WeakRef(made));
    forgotten.register(made, name);
    return made;
  }

  toString(): string {
    return this.name;
  }

  toJSON(): string {
    return this.name;
  }
}

/** A Hash with symbol keys: `symbolHash({ sku: "A1", qty: 2 })` is Ruby's `{ sku: "A1", qty: 2 }`. */
export function symbolHash(object: Readonly<Record<string, unknown>>): Map<RubySymbol, unknown> {
  return new Map(Object.entries(object).map(([name, value]) => [RubySymbol.for(name), value]));
}

/** A HashWithIndifferentAccess, such as `params.to_unsafe_h`: a Map that is written back as that class. */
export class RubyIndifferentHash extends Map<unknown, unknown> {}

/** A String tagged UTF-8 whose bytes are not UTF-8. (A binary String is a `Uint8Array`.) */
export class RubyString {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    Object.freeze(this);
  }

  /** Decodes the bytes, with U+FFFD for invalid ones. */
  toString(): string {
    return Buffer.from(this.bytes).toString("utf8");
  }
}

/** A String marked `html_safe`, as in views and some flashes. */
export class RubySafeBuffer {
  readonly content: string | RubyString;
  /**
   * "raw": written and read by Rails 8.1.0 to 8.1.3.1. "nested": written and read by later versions. Neither reads the
   * other's form, and Rails 7.2 and 8.0 read none: use the form of your Rails version.
   */
  readonly form: "raw" | "nested";

  constructor(content: string | RubyString, form: "raw" | "nested") {
    if (form !== "raw" && form !== "nested")
      throw new TypeError('The form of a RubySafeBuffer must be "raw" or "nested".');
    this.content = typeof content === "string" ? text(content, "A RubySafeBuffer") : content;
    this.form = form;
    Object.freeze(this);
  }

  toString(): string {
    return this.content.toString();
  }

  toJSON(): string {
    return this.toString();
  }
}
