import { text } from "./ruby-strings.ts";
import { uriText } from "./uri.ts";

/** A Range. A `begin` or `end` of null means open. */
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
 * A URI exactly as Ruby wrote it; `URL` would change its text (`https://a.example` gains a slash) or reject it. From a
 * `URL`, escapes the characters that Ruby accepts only escaped.
 */
export class RubyUri {
  readonly text: string;

  constructor(uri: string | URL) {
    this.text = text(uri instanceof URL ? uriText(uri) : uri, "A URI");
    Object.freeze(this);
  }

  /** @throws {TypeError} the text is a relative reference, or the URL standard rejects it */
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
    if (path.includes("\0")) throw new TypeError("A path must not contain a zero byte.");
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
 * A Regexp in Ruby's notation, `(?-mix:a.b)`. It is never compiled here: the syntaxes differ, and a stored pattern
 * could run forever (ReDoS).
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
