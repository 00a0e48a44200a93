import { text } from "./ruby-strings.ts";
import { uriText } from "./uri.ts";

/** A Range. A `begin` or `end` of null is open. */
export class RubyRange {
  readonly begin: unknown;
  readonly end: unknown;
  readonly excludeEnd: boolean;

  constructor(begin: unknown, end: unknown, excludeEnd = false) {
    this.begin = begin;
    this.end = end;
    this.excludeEnd = excludeEnd;
    Object.freeze(this);
  }
}

/**
 * A URI as Ruby wrote it; `URL` would change its text (`https://a.example` gains a slash) or refuse it. Of a `URL`,
 * what Ruby takes only escaped is escaped.
 */
export class RubyUri {
  readonly text: string;

  constructor(uri: string | URL) {
    this.text = text(uri instanceof URL ? uriText(uri) : uri, "A URI");
    Object.freeze(this);
  }

  /** @throws {TypeError} a relative reference, or one that the URL standard refuses */
  toURL(): URL {
    return new URL(this.text);
  }

  toString(): string {
    return this.text;
  }

  toJSON(): string {
    return this.text;
  }
}

/** An IPAddr: an address, or a network with its prefix ("10.0.0.0/8"). */
export class RubyIpAddress {
  readonly text: string;

  constructor(address: string) {
    this.text = text(address, "An address");
    Object.freeze(this);
  }

  toString(): string {
    return this.text;
  }

  toJSON(): string {
    return this.text;
  }
}

/** A Pathname. */
export class RubyPathname {
  readonly path: string;

  constructor(path: string) {
    this.path = text(path, "A path");
    if (path.includes("\0")) throw new TypeError("A path holds no zero byte.");
    Object.freeze(this);
  }

  toString(): string {
    return this.path;
  }

  toJSON(): string {
    return this.path;
  }
}

/**
 * A Regexp in Ruby's own notation, `(?-mix:a.b)`. It is never compiled here: the languages differ, and a pattern
 * from stored bytes can be made to run for ever.
 */
export class RubyRegexp {
  readonly text: string;

  constructor(pattern: string) {
    this.text = text(pattern, "A Regexp");
    Object.freeze(this);
  }

  toString(): string {
    return this.text;
  }
}
