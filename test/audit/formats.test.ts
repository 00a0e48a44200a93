/** What other systems require of an event. */
import { describe, expect, test } from "vitest";
import { cell, csvLine, formatEvent } from "../../src/audit/formats.ts";
import { lineOf } from "../../src/cli/audit-lines.ts";
import { eventTypes, type AuditEvent } from "../../src/audit/events.ts";

/** elastic.co/docs/reference/ecs/ecs-allowed-values-event-category */
const expected: Readonly<Record<string, readonly string[]>> = {
  authentication: ["start", "end", "info"],
  session: ["start", "end", "info"],
  iam: ["admin", "change", "creation", "deletion", "group", "info", "user"],
  configuration: ["access", "change", "creation", "deletion", "info"],
  database: ["access", "change", "info", "error"],
};

/** schema.ocsf.io: the attributes that are used, of all events, Authentication and Entity Management. */
const attributes = {
  base: "activity_id activity_name category_uid class_uid type_uid severity_id status_id status_detail time count message metadata unmapped actor http_request src_endpoint".split(
    " ",
  ),
  3002: ["user", "session", "service", "is_mfa"],
  3004: ["entity"],
};

function event(type: AuditEvent["type"], more: Partial<AuditEvent> = {}): AuditEvent {
  return {
    id: "x:1",
    type,
    outcome: "success",
    at: new Date(1_790_000_000_000),
    session: "handle",
    user: "42",
    device: "desktop",
    count: 1,
    unreadable: null,
    address: "203.0.113.9",
    userAgent: "Mozilla/5.0",
    actor: "admin 7",
    reason: "why",
    method: "password",
    factors: ["password", "totp"],
    ...more,
  };
}

describe.each(["unknown", ...eventTypes] as const)("formats: %s", (type) => {
  test("ECS → an allowed category, with a type that is expected for it", () => {
    const { category, type: types } = (formatEvent(event(type), "ecs") as any).event;
    expect(expected[category[0]]).toContain(types[0]);
  });

  test("OCSF → the required attributes of its class", () => {
    const one = formatEvent(event(type), "ocsf") as any;
    expect(one).toMatchObject({ category_uid: 3, type_uid: one.class_uid * 100 + one.activity_id });
    expect(one.metadata).toMatchObject({
      version: expect.any(String),
      product: { vendor_name: expect.any(String) },
    });
    const known = [...attributes.base, ...attributes[one.class_uid as 3002 | 3004]];
    expect(Object.keys(one).filter((name) => !known.includes(name))).toEqual([]);
    if (one.class_uid === 3002) {
      expect(one.user.uid).toBe("42");
      expect(one.service ?? one.dst_endpoint, "one of them").toBeTruthy();
    } else expect(one.entity.name).toBeTruthy();
    expect(one).not.toHaveProperty("auth_protocol");
  });
});

test.each(["unix:", "203.0.113.9:4711", "unknown"])(
  "formats: %s in place of an address → no `ip`, which would be refused",
  (address) => {
    const one = event("login", { address });
    expect((formatEvent(one, "ecs") as any).source).toEqual({ address });
    expect((formatEvent(one, "ocsf") as any).src_endpoint).toEqual({ name: address });
  },
);

test("OCSF: names in `details` → do not take the place of attributes", () => {
  const one = event("login", { level: "aal2", details: { level: "aal3", factors: "none" } });
  expect((formatEvent(one, "ocsf") as any).unmapped).toMatchObject({
    level: "aal2",
    details: { level: "aal3", factors: "none" },
  });
});

test.each([
  "=1+1",
  "+1",
  "-1",
  "@SUM(A1)",
  "|calc",
  "%0A",
  " =1",
  "＝1+1",
  "＋1",
  "－1",
  "＠SUM(A1)",
  "\u3000＝1",
])("R50, CSV: a cell that begins with %s → text", (text) => {
  expect(cell(text)).toMatch(/^"'/);
  expect(csvLine(event("login.failed", { identifier: text }))).toContain(`"'`);
});

test.each(["json", "ocsf", "ecs", "cloudevents", "csv", "text"] as const)(
  "R50, %s: control, bidi and separator characters in what somebody typed → one line without any of them",
  (how) => {
    const identifier = "\u009b2J\u202eann\u2028\u0007\r\n\u007f";
    const line = lineOf(event("login.failed", { identifier }), how);
    expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    if (how === "json") expect(JSON.parse(line).identifier).toBe(identifier);
  },
);
