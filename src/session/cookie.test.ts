import { parseSetCookie } from "cookie";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LimitError, OptionsError } from "../errors.ts";
import { SessionCookie, type CookieOptions } from "./cookie.ts";

const token = "t".repeat(64);
const day = 86_400_000;
const month = { now: 1_700_000_000_000, expiresAt: 1_700_000_000_000 + 30 * day };
/** Every byte, and two characters beyond. */
const characters = Array.from({ length: 0x102 }, (_, code) => String.fromCharCode(code));
const problems = (options: unknown, environment?: string) =>
  SessionCookie.problems(options as CookieOptions, environment);

describe("R4: Set-Cookie", () => {
  test.each<[CookieOptions | undefined, string]>([
    [undefined, "__Host-session=TOKEN; Max-Age=2592000; Path=/; HttpOnly; Secure; SameSite=Lax"],
    [{}, "__Host-session=TOKEN; Max-Age=2592000; Path=/; HttpOnly; Secure; SameSite=Lax"],
    [{ secure: true }, "__Host-session=TOKEN; Max-Age=2592000; Path=/; HttpOnly; Secure; SameSite=Lax"],
    [{ secure: false }, "session=TOKEN; Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax"],
    [{ secure: false, name: "sid" }, "sid=TOKEN; Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax"],
    [{ persist: false }, "__Host-session=TOKEN; Path=/; HttpOnly; Secure; SameSite=Lax"],
    [{ httpOnly: false }, "__Host-session=TOKEN; Max-Age=2592000; Path=/; Secure; SameSite=Lax"],
    [
      { sameSite: "strict" },
      "__Host-session=TOKEN; Max-Age=2592000; Path=/; HttpOnly; Secure; SameSite=Strict",
    ],
    [
      { sameSite: "none", partitioned: true, priority: "high" },
      "__Host-session=TOKEN; Max-Age=2592000; Path=/; HttpOnly; Secure; Partitioned; Priority=High; SameSite=None",
    ],
    [
      { partitioned: false, priority: "low" },
      "__Host-session=TOKEN; Max-Age=2592000; Path=/; HttpOnly; Secure; Priority=Low; SameSite=Lax",
    ],
    [
      { name: "__Secure-sid", domain: "example.com", path: "/shop", priority: "medium" },
      "__Secure-sid=TOKEN; Max-Age=2592000; Domain=example.com; Path=/shop; HttpOnly; Secure; Priority=Medium; SameSite=Lax",
    ],
    [
      {
        name: undefined,
        path: undefined,
        domain: undefined,
        sameSite: undefined,
        secure: undefined,
        httpOnly: undefined,
        partitioned: undefined,
        priority: undefined,
        persist: undefined,
        rolling: undefined,
        insecureInProduction: undefined,
      },
      "__Host-session=TOKEN; Max-Age=2592000; Path=/; HttpOnly; Secure; SameSite=Lax",
    ],
  ])("%o → its Set-Cookie", (options, header) => {
    expect(new SessionCookie(options).set(token, month)).toBe(header.replace("TOKEN", token));
  });

  test.each<[number, number]>([
    [-5000, 1],
    [0, 1],
    [1, 1],
    [1000, 1],
    [1001, 2],
    [1999, 2],
    [2000, 2],
    [400 * day - 1000, 34_559_999],
    [400 * day - 999, 34_560_000],
    [400 * day, 34_560_000],
    [400 * day + 1, 34_560_000],
    [Infinity, 34_560_000],
  ])("R7: Max-Age of %i ms → %i whole seconds, at most 400 days", (left, seconds) => {
    const header = new SessionCookie().set(token, {
      now: 1_700_000_000_000,
      expiresAt: 1_700_000_000_000 + left,
    });
    expect(header).toContain(`; Max-Age=${seconds};`);
  });

  test("R7: name and value of 4,096 bytes together → set; longer → an error", () => {
    const cookie = new SessionCookie({ name: "abcd" });
    expect(cookie.set("x".repeat(4092), month)).toContain(`abcd=${"x".repeat(4092)};`);
    const error = (() => {
      try {
        return cookie.set("x".repeat(4093), month);
      } catch (thrown) {
        return thrown;
      }
    })() as LimitError;
    expect(error).toBeInstanceOf(LimitError);
    expect(error.limit).toBe("bytes");
    expect(error.message).toBe(
      "The cookie name and value are 4097 bytes long. Browsers ignore cookies over 4096 bytes: shorten the name or value.",
    );
  });

  test("any character in a value → sent unchanged, or the value is refused", () => {
    const cookie = new SessionCookie();
    const passes = (value: string) => {
      try {
        return cookie.set(value, month).startsWith(`__Host-session=${value}; Max-Age`);
      } catch (error) {
        expect(error).toEqual(
          new TypeError("The cookie value is empty or contains characters that are not allowed in a cookie."),
        );
        return false;
      }
    };
    const fine = characters.filter((c) => c > " " && c < "\x7f" && !'",;\\'.includes(c));
    for (const around of [(c: string) => `a${c}`, (c: string) => `${c}a`, (c: string) => c]) {
      expect(characters.filter((c) => passes(around(c)))).toEqual(fine);
    }
    expect(() => cookie.set("", month)).toThrow(TypeError);
  });
});

describe("R13: clearing", () => {
  test.each<[CookieOptions | undefined, string]>([
    [
      undefined,
      "__Host-session=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax",
    ],
    [
      { persist: false },
      "__Host-session=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax",
    ],
    [
      {
        name: "sid",
        domain: "example.com",
        path: "/shop",
        sameSite: "none",
        partitioned: true,
        priority: "low",
      },
      "sid=; Max-Age=0; Domain=example.com; Path=/shop; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; Partitioned; Priority=Low; SameSite=None",
    ],
  ])("%o → its Set-Cookie", (options, header) => {
    expect(new SessionCookie(options).clear()).toBe(header);
  });

  test("clear → every attribute that set uses", () => {
    const options = fc.record(
      {
        path: fc.constantFrom("/", "/shop", "/a/b"),
        domain: fc.constantFrom("example.com", "shop.example.com"),
        sameSite: fc.constantFrom("lax", "strict", "none"),
        httpOnly: fc.boolean(),
        priority: fc.constantFrom("low", "high"),
        persist: fc.boolean(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(options, (given) => {
        const cookie = new SessionCookie({ name: "sid", ...given } as CookieOptions);
        const { maxAge: _, value: set, ...before } = parseSetCookie(cookie.set(token, month));
        const { maxAge, expires, value: cleared, ...after } = parseSetCookie(cookie.clear());
        expect(after).toEqual(before);
        expect([set, cleared, maxAge, expires]).toEqual([token, "", 0, new Date(0)]);
      }),
    );
  });
});

describe("what the manager asks", () => {
  test("name, secure and rolling → as configured", () => {
    const named = ({ name, secure, rolling }: SessionCookie) => ({ name, secure, rolling });
    expect(named(new SessionCookie())).toEqual({ name: "__Host-session", secure: true, rolling: false });
    expect(named(new SessionCookie({ secure: false, rolling: true }))).toEqual({
      name: "session",
      secure: false,
      rolling: true,
    });
    expect(named(new SessionCookie({ name: "sid", rolling: false }))).toEqual({
      name: "sid",
      secure: true,
      rolling: false,
    });
  });
});

describe("R10: reading", () => {
  const read = (header: string, name = "sid") => new SessionCookie({ name }).read(header);

  test.each<[string, string[]]>([
    ["", []],
    ["sid", []],
    ["sid=", [""]],
    ["sid=a", ["a"]],
    ["sid=a;", ["a"]],
    ["sid=a; b=c", ["a"]],
    ["b=c; sid=a", ["a"]],
    ["b=c;sid=a", ["a"]],
    ["b=c;\t sid=a", ["a"]],
    [" sid=a", ["a"]],
    ["\tsid=a", ["a"]],
    ["sid=a; sid=b", ["a", "b"]],
    ["sid=a;sid=b;c=d;sid=e;f=g", ["a", "b", "e"]],
    ["sid=; sid=b", ["", "b"]],
    ["xsid=a", []],
    ["x sid=a", []],
    ["x-sid=a; sid=b", ["b"]],
    ["b=sid=a", []],
    ["b=sid=a; sid=c", ["c"]],
    ["b= sid=a; sid=c", ["c"]],
    ["sid=sid=a", ["sid=a"]],
    ["sid=a=b==", ["a=b=="]],
    ["sid =a", []],
    ["SID=a", []],
    ["sid2=a", []],
    ["sid=a b", ["a b"]],
    ["sid= a ; b=c", [" a "]],
    ['sid="a"', ['"a"']],
    ["sid=%41", ["%41"]],
    ["sid=a, sid=b", ["a, sid=b"]],
    [";;; sid=a;;;", ["a"]],
    ["\u00a0sid=a", []],
    ["\nsid=a", []],
    ["sid=\u00e9\u0000", ["\u00e9\u0000"]],
  ])("%j → its values", (header, values) => {
    expect(read(header)).toEqual(values);
  });

  test("more than 4 cookies of our name → the first 4", () => {
    expect(read("sid=1; sid=2; sid=3; sid=4")).toEqual(["1", "2", "3", "4"]);
    expect(read("sid=1; sid=2; sid=3; sid=4; sid=5; sid=6")).toEqual(["1", "2", "3", "4"]);
    expect(read(`${"x=sid=0; ".repeat(10)}sid=1`)).toEqual(["1"]);
  });

  test("a name with characters of a regular expression → compared as text", () => {
    expect(read("s+d=1; s.d=2; ssd=3", "s.d")).toEqual(["2"]);
    expect(read("$sid=1; s|d=2", "$sid")).toEqual(["1"]);
  });

  test("any header → the values that splitting it finds", () => {
    const header = fc
      .array(fc.constantFrom("sid=", "sid", "=", ";", "; ", " ", "\t", "x", "y", "\u00e9"))
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(header, (text) => {
        const pairs = text.split(";").map((pair) => pair.replace(/^[ \t]+/, ""));
        const values = pairs.filter((pair) => pair.startsWith("sid=")).map((pair) => pair.slice(4));
        expect(read(text)).toEqual(values.slice(0, 4));
      }),
      { numRuns: 1000 },
    );
  });
});

describe("R4, R6, R7, R8: options that cannot work", () => {
  test("no options → no problem", () => {
    expect(problems(undefined)).toEqual([]);
    expect(problems({})).toEqual([]);
    expect(problems({ name: undefined, secure: undefined }, "production")).toEqual([]);
  });

  test.each([null, 5, "session", true, []])("%j → not an object of options", (options) => {
    expect(problems(options)).toEqual(["`cookie` must be an object of options."]);
  });

  const text = ["name", "path", "domain"];
  const flags = ["secure", "httpOnly", "partitioned", "persist", "rolling", "insecureInProduction"];

  test.each(text)("%s that is not text → refused", (name) => {
    for (const value of [5, true, null, {}]) {
      expect(problems({ [name]: value })).toEqual([`\`cookie.${name}\` must be a string.`]);
    }
  });

  test.each(flags)("%s that is not a boolean → refused", (name) => {
    for (const value of [0, 1, "true", null]) {
      expect(problems({ [name]: value })).toEqual([`\`cookie.${name}\` must be true or false.`]);
    }
  });

  test("sameSite or priority of another value → refused with the valid ones", () => {
    for (const value of [true, false, "Lax", "", null]) {
      expect(problems({ sameSite: value })).toEqual([
        '`cookie.sameSite` must be "lax" or "strict" or "none".',
      ]);
      expect(problems({ priority: value })).toEqual([
        '`cookie.priority` must be "low" or "medium" or "high".',
      ]);
    }
    for (const priority of ["low", "medium", "high"]) expect(problems({ priority })).toEqual([]);
  });

  const all =
    "name, path, domain, sameSite, secure, httpOnly, partitioned, priority, persist, rolling, insecureInProduction";

  test.each<[string, string]>([
    ["httponly", "Did you mean `httpOnly`?"],
    ["HttpOnly", "Did you mean `httpOnly`?"],
    ["samesite", "Did you mean `sameSite`?"],
    ["sameSit", "Did you mean `sameSite`?"],
    ["sameSites", "Did you mean `sameSite`?"],
    ["samSite", "Did you mean `sameSite`?"],
    ["sameeSite", "Did you mean `sameSite`?"],
    ["sameXite", "Did you mean `sameSite`?"],
    ["smaeSite", "Did you mean `sameSite`?"],
    ["xame", "Did you mean `name`?"],
    ["domian", "Did you mean `domain`?"],
    ["secured", "Did you mean `secure`?"],
    ["ecure", "Did you mean `secure`?"],
    ["nom", `Valid options: ${all}.`],
    ["secur3d", `Valid options: ${all}.`],
    ["signed", `Valid options: ${all}.`],
    ["", `Valid options: ${all}.`],
    ["constructor", `Valid options: ${all}.`],
  ])("an unknown option %j → refused with the nearest name", (name, hint) => {
    expect(problems({ [name]: 1 })).toEqual([`\`cookie.${name}\` is not an option. ${hint}`]);
  });

  test.each(["maxAge", "expires"])(
    "%s → refused, and the error names the option that decides instead",
    (name) => {
      expect(problems({ [name]: 1 })).toEqual([
        `\`cookie.${name}\` is not an option. The cookie lasts until \`absoluteTimeout\`, or until the browser closes with \`cookie.persist: false\`.`,
      ]);
    },
  );

  test("an unknown option whose value is undefined → refused too", () => {
    expect(problems({ signed: undefined })).toHaveLength(1);
  });

  test("R8: any character in a name → accepted only if a cookie name may contain it", () => {
    const fine = characters.filter((c) => /[a-zA-Z0-9]/.test(c) || "!#$%&'*+-.^_`|~".includes(c));
    for (const around of [(c: string) => c, (c: string) => `a${c}`, (c: string) => `${c}a`]) {
      expect(characters.filter((c) => problems({ name: around(c) }).length === 0)).toEqual(fine);
      const set = (name: string) => new SessionCookie({ name }).set(token, month);
      expect(fine.filter((c) => !set(around(c)).startsWith(`${around(c)}=${token};`))).toEqual([]);
    }
    expect(problems({ name: "a b" })).toEqual([
      "`cookie.name` must not be empty and may contain only letters, digits and !#$%&'*+-.^_`|~.",
    ]);
    expect(problems({ name: "" })).toHaveLength(1);
  });

  test("R7: a name that leaves no room for a token → refused", () => {
    expect(problems({ name: "n".repeat(4032) })).toEqual([]);
    expect(problems({ name: "n".repeat(4033) })).toEqual([
      "`cookie.name` must be at most 4032 characters long.",
    ]);
    expect(new SessionCookie({ name: "n".repeat(4032) }).set(token, month)).toContain(`=${token};`);
  });

  test("R8: any character in a path → accepted only if a path may contain it", () => {
    const fine = characters.filter((c) => c > " " && c < "\x7f" && c !== ";" && c !== "<");
    for (const around of [(c: string) => `/${c}`, (c: string) => `/a${c}b`]) {
      expect(characters.filter((c) => problems({ name: "sid", path: around(c) }).length === 0)).toEqual(fine);
      const set = (path: string) => new SessionCookie({ name: "sid", path }).set(token, month);
      expect(fine.filter((c) => !set(around(c)).includes(`; Path=${around(c)};`))).toEqual([]);
    }
    expect(problems({ name: "sid", path: "/;" })).toEqual([
      "`cookie.path` must start with / and may contain only visible ASCII characters other than ; and <.",
    ]);
    for (const path of ["", "shop", "./", " /"]) expect(problems({ name: "sid", path })).toHaveLength(1);
    expect(problems({ name: "sid", path: `/${"x".repeat(1023)}` })).toEqual([]);
    expect(problems({ name: "sid", path: `/${"x".repeat(1024)}` })).toEqual([
      "`cookie.path` must be at most 1024 characters long.",
    ]);
  });

  const badDomain =
    "`cookie.domain` must be a host name without a port, such as example.com. Write an internationalized name in its xn--… form.";

  test("R8: any character in a domain → accepted only if a host name may contain it", () => {
    const fine = (domain: (c: string) => string) =>
      characters.filter((c) => problems({ name: "sid", domain: domain(c) }).length === 0).join("");
    const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    expect(fine((c) => `${c}a`)).toBe(`.${letters}`);
    expect(fine((c) => `a${c}a.b${c}b`)).toBe(`-.${letters}`);
    expect(fine((c) => `a.${c}`)).toBe(letters);
    expect(fine((c) => `a.${c}a`)).toBe(letters);
    expect(fine((c) => `a${c}`)).toBe(letters);
  });

  test("R8: host names → accepted; other domains → refused", () => {
    const label = "a".repeat(63);
    const fine = [
      "localhost",
      "example.com",
      ".example.com",
      "Example.COM",
      "xn--bcher-kva.example",
      "a.b.c.d",
      "1a.2b",
    ];
    fine.push(label, `${label}.${label}`, `${label}.${label}.${label}.${"a".repeat(61)}`);
    for (const domain of fine) {
      expect(problems({ name: "sid", domain })).toEqual([]);
      expect(new SessionCookie({ name: "sid", domain }).set(token, month)).toContain(`; Domain=${domain};`);
    }
    const bad = ["", ".", "a..b", "..a", "example.com.", "-a.b", "a-.b", "a.-b", "a.b-", "bücher.example"];
    bad.push("https://example.com", "example.com:443", "example.com/", "a b", "[::1]");
    bad.push(`${label}a`, `b.${label}a`, `${label}.${label}.${label}.${"a".repeat(62)}`);
    for (const domain of bad) expect(problems({ name: "sid", domain })).toEqual([badDomain]);
  });

  const prefixed = (name: string, prefix: string, what: string) =>
    `The cookie name "${name}" requires ${what}, because it starts with ${prefix}.`;

  test.each<[CookieOptions, string[]]>([
    [{ name: "__Host-sid" }, []],
    [{ name: "__Host-sid", path: "/", secure: true, httpOnly: false }, []],
    [{ name: "__Host-sid", secure: false }, [prefixed("__Host-sid", "__Host-", "`cookie.secure`")]],
    [{ name: "__host-sid", secure: false }, [prefixed("__host-sid", "__host-", "`cookie.secure`")]],
    [{ path: "/shop" }, [prefixed("__Host-session", "__Host-", "`cookie.path` to be /")]],
    [{ domain: "example.com" }, [prefixed("__Host-session", "__Host-", "`cookie.domain` to be left out")]],
    [
      { name: "__HOST-sid", secure: false, path: "/shop", domain: "example.com", httpOnly: false },
      [
        prefixed("__HOST-sid", "__HOST-", "`cookie.secure`"),
        prefixed("__HOST-sid", "__HOST-", "`cookie.path` to be /"),
        prefixed("__HOST-sid", "__HOST-", "`cookie.domain` to be left out"),
      ],
    ],
    [{ name: "__Secure-sid", path: "/shop", domain: "example.com", httpOnly: false }, []],
    [{ name: "__SECURE-sid", secure: false }, [prefixed("__SECURE-sid", "__SECURE-", "`cookie.secure`")]],
    [{ name: "__Http-sid", path: "/shop", domain: "example.com" }, []],
    [
      { name: "__http-sid", secure: false, httpOnly: false },
      [
        prefixed("__http-sid", "__http-", "`cookie.secure`"),
        prefixed("__http-sid", "__http-", "`cookie.httpOnly`"),
      ],
    ],
    [{ name: "__Host-Http-sid" }, []],
    [
      { name: "__Host-Http-sid", httpOnly: false, path: "/shop", domain: "example.com" },
      [
        prefixed("__Host-Http-sid", "__Host-Http-", "`cookie.httpOnly`"),
        prefixed("__Host-Http-sid", "__Host-Http-", "`cookie.path` to be /"),
        prefixed("__Host-Http-sid", "__Host-Http-", "`cookie.domain` to be left out"),
      ],
    ],
    [{ name: "my__Host-sid", secure: false, path: "/shop", domain: "example.com", httpOnly: false }, []],
    [{ name: "__Hostsid", secure: false, path: "/shop" }, []],
    [{ secure: false, path: "/shop", domain: "example.com" }, []],
    [{ sameSite: "none" }, []],
    [{ sameSite: "none", secure: false }, ['`cookie.sameSite: "none"` requires `cookie.secure`.']],
    [{ sameSite: "strict", secure: false }, []],
    [{ partitioned: true, sameSite: "none" }, []],
    [{ partitioned: true }, ['`cookie.partitioned` requires `cookie.sameSite: "none"`.']],
    [{ partitioned: true, sameSite: "strict" }, ['`cookie.partitioned` requires `cookie.sameSite: "none"`.']],
    [{ partitioned: false, secure: false }, []],
    [
      { partitioned: true, secure: false },
      [
        "`cookie.partitioned` requires `cookie.secure`.",
        '`cookie.partitioned` requires `cookie.sameSite: "none"`.',
      ],
    ],
  ])("%o → the problems", (options, expected) => {
    expect(problems(options)).toEqual(expected);
  });

  test("plain http in production → refused without insecureInProduction", () => {
    const said =
      "`cookie.secure: false` exposes session cookies on unencrypted connections. To allow it with NODE_ENV=production, also set `cookie.insecureInProduction: true`.";
    expect(problems({ secure: false }, "production")).toEqual([said]);
    expect(problems({ secure: false, insecureInProduction: false }, "production")).toEqual([said]);
    expect(problems({ secure: false, insecureInProduction: true }, "production")).toEqual([]);
    expect(problems({ secure: false }, "development")).toEqual([]);
    expect(problems({ secure: false }, undefined)).toEqual([]);
    expect(problems({ secure: true }, "production")).toEqual([]);
    expect(problems({ insecureInProduction: true }, "production")).toEqual([]);
  });

  test("several problems → unknown options first, then wrong values and contradictions together", () => {
    expect(problems({ signed: true, secure: 1, path: "shop" })).toHaveLength(2);
    expect(
      problems({ name: "a b", path: "shop", domain: "a..b", sameSite: "none", secure: false }, "production"),
    ).toHaveLength(5);
  });

  test("constructor: options that cannot work → an OptionsError", () => {
    expect(() => new SessionCookie({ path: "/shop" })).toThrow(
      new OptionsError([prefixed("__Host-session", "__Host-", "`cookie.path` to be /")]),
    );
    expect(new SessionCookie({ secure: false }).name).toBe("session");
  });
});
