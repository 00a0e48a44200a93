import { expect, test } from "vitest";
import { RubyUri } from "./types.ts";
import { uriText } from "./uri.ts";

/** Characters and escapes of RFC 3986, appendix A, each where it may stand. */
const RFC3986 =
  /^[a-z][a-z0-9+.-]*:(\/\/([\w\-.~!$&'()*+,;=:@]|%[\da-f]{2}|[[\]])*)?([\w\-.~!$&'()*+,;=:@/]|%[\da-f]{2})*(\?([\w\-.~!$&'()*+,;=:@/?]|%[\da-f]{2})*)?(#([\w\-.~!$&'()*+,;=:@/?]|%[\da-f]{2})*)?$/i;

test.each([
  ["https://a.example/b?c=d&e#f", "https://a.example/b?c=d&e#f"],
  ["https://a.example/%7Bx%7d", "https://a.example/%7Bx%7d"],
  ["http://user:pass@[::1]:8080/a;b", "http://user:pass@[::1]:8080/a;b"],
  ["https://a.example/a|b", "https://a.example/a%7Cb"],
  ["https://a.example/#/r{1}", "https://a.example/#/r%7B1%7D"],
  ["https://a.example/?q=a|b^c`d[0]", "https://a.example/?q=a%7Cb%5Ec%60d%5B0%5D"],
  ["https://a.example/50%?x=%zz#%", "https://a.example/50%25?x=%25zz#%25"],
  ["https://a.example/#a#b", "https://a.example/#a%23b"],
  ["data:text/plain,hello <b> {world}", "data:text/plain,hello%20%3Cb%3E%20%7Bworld%7D"],
  ["foo://ho{st/x", "foo://ho%7Bst/x"],
  ["https://é.example/é?é#é", "https://xn--9ca.example/%C3%A9?%C3%A9#%C3%A9"],
])("%s", (given, expected) => {
  const url = new URL(given);
  expect(uriText(url)).toBe(expected);
  expect(new RubyUri(url).text).toBe(expected);
  expect(expected).toMatch(RFC3986);
});

test("every ASCII character at any place → as Ruby's parser decides", () => {
  for (let code = 0; code < 128; code++) {
    const character = String.fromCharCode(code);
    for (const before of ["https://a.example/x", "https://a.example/?x", "https://a.example/#x", "data:x"]) {
      expect(uriText(new URL(`${before}${character}y`))).toMatch(RFC3986);
    }
  }
});
