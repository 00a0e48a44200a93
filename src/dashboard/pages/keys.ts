import { revokeEverything } from "../../operator/admin.ts";
import type { HeldLease } from "../../store/contract.ts";
import { storedEndOf } from "../../session/lifetime.ts";
import { walk } from "../../session/walk.ts";
import { ago, moment, number, plural, span } from "../../shared/wording.ts";
import { alone, isRunning, runsAlready } from "../alone.ts";
import { denied, invalid, type Answer } from "../answers.ts";
import { html, type Html, type Part } from "../html.ts";
import { durabilityNotice } from "../durability-notice.ts";
import { card, facts, notice, shareBar, table, type Page } from "../layout.ts";
import { freshWindow } from "../options.ts";
import { progressOf } from "../progress.ts";
import { keysOf, sampleOf, type Sample } from "../sample.ts";
import { may, pathTo, postForm, reasonField, reasonIn, reasonMissing, record, type View } from "../view.ts";

const jobs: Readonly<Record<string, string>> = {
  expire: "Deletes expired sessions",
  reseal: "Encrypts sessions under the newest key",
  audit: "Signs checkpoints of the audit trail",
};

export async function keysPage(view: View): Promise<Page> {
  const sample = await sampleOf(view.records);
  const held = await view.records.store.leases();
  const due = await oldestDue(view);
  const warnings = await view.durability.warnings();
  return {
    title: "Keys and jobs",
    place: "keys",
    body: html`<h1>Keys and jobs</h1>
      ${durabilityNotice(warnings)}
      <div class="grid">
        ${card("Keys", keys(view, sample))}${card("Jobs", leases(view, held), expiry(view, due))}
      </div>
      ${may(view, "revoke") && card("End the sessions of all users", endAllForm(view))}`,
  };
}

function keys(view: View, sample: Sample): Html {
  const ring = view.records.settings.format.keyNames ?? [];
  if (ring.length === 0) return html`<p class="muted">These sessions do not name their keys.</p>`;
  const done = sample.size === 0 ? 100 : Math.floor((sample.current * 100) / sample.size);
  const unknown = [...sample.keys.keys()].filter((key) => !ring.includes(key));
  return html`${facts([
      ["Newest key", html`<code>${ring[0]}</code>`],
      ["Older keys", ring.length === 1 ? "none" : ring.slice(1).map((key) => html`<code>${key}</code> `)],
      [
        "Under the newest key",
        html`${shareBar(done, 100, `Sessions under the newest key: ${done}%`)}${done}%,
        ${sample.isExact ? `of all ${plural(sample.size, "session")}` : `of a random sample of ${number(sample.size)}`}`,
      ],
    ])}
    ${unknown.length > 0 && notice("bad", html`Sessions are sealed with keys that are not in the ring: ${unknown.map((key) => html`<code>${key}</code> `)}. Their users are signed out. If the key was removed by mistake, add it again; if it leaked, leave it out.`)}
    <p>
      Counting every session says exactly what still depends on an older key. It reads the whole table, a page
      at a time.
    </p>
    ${postForm(view, "/keys", { action: "count" }, html`<button>Count every session</button>`)}`;
}

function leases(view: View, held: readonly HeldLease[] | null): Part {
  if (held === null) return html`<p class="muted">This store does not show who runs its jobs.</p>`;
  const now = view.records.now();
  const shown = held.filter(({ name }) => name in jobs);
  if (shown.length === 0) return html`<p class="muted">No job has run yet.</p>`;
  return table(
    "Jobs",
    ["Job", "Runs in", "Last run"],
    shown.map(({ name, holder, until }) => [
      html`<strong>${name}</strong><br /><span class="muted">${jobs[name]}</span>`,
      until > now
        ? html`<span class="mono">${holder.slice(0, 8)}</span>`
        : html`<span class="muted">no process</span>`,
      lastRun(until, now),
    ]),
  );
}

function lastRun(until: number, now: number): Part {
  if (until > now) return "now";
  if (until < 0) return `ended ${ago(new Date(-until), now)}`;
  if (until === 0) return html`<span class="muted">unknown</span>`;
  return `was cut short: its lease ended ${ago(new Date(until), now)}`;
}

/** When the session ended that waits longest to be deleted; null if none waits, undefined if the store cannot tell. */
async function oldestDue({ records }: View): Promise<number | null | undefined> {
  const { audit } = records.settings.store;
  if (audit === undefined) return undefined;
  const { idleTimeout, absoluteTimeout } = records.settings;
  const { ids } = await audit.findExpired({
    before: records.now(),
    cursor: null,
    idleTimeout,
    absoluteTimeout,
    limit: 1,
  });
  const rows = await audit.ends(ids);
  return rows.length === 0 ? null : Math.min(...rows.map((row) => storedEndOf(row, records.settings)));
}

function expiry({ records }: View, due: number | null | undefined): Part {
  if (due === undefined) return null;
  return facts([
    [
      "Oldest expired session",
      due === null ? "none waits to be deleted" : `ended ${span(records.now() - due)} ago, not deleted yet`,
    ],
  ]);
}

/** The ids of a table do not say whose sessions they are. */
const shared = ", and so are the users of every other application that keeps its sessions in the same table";

function endAllForm(view: View): Html {
  const { session } = view.access;
  const isFresh = session === undefined || session.isFresh(freshWindow(view.options));
  const { confirmAt } = view.options;
  if (!isFresh) {
    return html`<p>
        Everybody is signed out, you as well${shared}. This needs a login or step-up of the last
        ${span(freshWindow(view.options))}.
      </p>
      ${confirmAt !== undefined && html`<p><a href="${confirmAt}${confirmAt.includes("?") ? "&" : "?"}return_to=${encodeURIComponent(pathTo(view, "/keys"))}">Prove that it is you</a></p>`}`;
  }
  return html`<p>For an incident, such as a leaked key. Everybody is signed out, you as well${shared}.</p>
    <details>
      <summary>End the sessions of all users</summary>
      ${postForm(
        view,
        "/keys",
        { action: "endAll" },
        reasonField(view),
        html`<label
            >Type “end all sessions” to confirm <input type="text" name="confirm" required autocomplete="off"
          /></label>
          <button class="danger">End the sessions of all users</button>`,
      )}
    </details>`;
}

/** Counts the rows of each key, or ends every session. */
export async function keysAction(view: View): Promise<Answer> {
  const action = view.form.get("action");
  if (action === "count")
    return { kind: "stream", title: "Count every session", parts: (signal) => count(view, signal) };
  if (action !== "endAll") return invalid("This form is not complete.");
  if (!may(view, "revoke")) return denied("revoke");
  const { session, actor } = view.access;
  if (session !== undefined && !session.isFresh(freshWindow(view.options))) {
    return {
      kind: "problem",
      status: 403,
      title: "Prove that it is you",
      text: html`Ending all sessions needs a recent login or step-up. Nothing was changed.`,
    };
  }
  const reason = reasonIn(view);
  if (reason === null) return invalid(reasonMissing);
  if (view.form.get("confirm")?.trim().toLowerCase() !== "end all sessions")
    return invalid("Type “end all sessions” to confirm.");
  return {
    kind: "stream",
    title: "End all sessions",
    parts: (signal) => endAll(view, { actor, reason }, signal),
  };
}

async function* endAll(
  view: View,
  by: { actor: string; reason: string },
  signal: AbortSignal,
): AsyncIterable<Html> {
  yield html`<h1>Ending all sessions</h1>
    <p>Leave this page open. Closing it stops where it is; what has ended stays ended.</p>`;
  const work = progressOf<number, number>((onProgress) =>
    revokeEverything(view.records, { signal, onProgress: ({ scanned }) => onProgress(scanned) }, by),
  );
  for await (const ended of work) yield html`<div class="muted">${plural(ended, "session")} ended …</div>`;
  yield notice("good", `${plural(await work.result, "session")} ended.`);
  yield html`<p><a href="${pathTo(view, "/")}">Overview</a></p>`;
}

interface Use {
  live: number;
  ended: number;
}

async function* count(view: View, signal: AbortSignal): AsyncIterable<Html> {
  yield html`<h1>Counting every session</h1>
    <p>Leave this page open. Closing it stops the count.</p>`;
  if (isRunning(view.records, "count")) {
    yield runsAlready("A count");
    return;
  }
  const work = progressOf<number, ReadonlyMap<string, Use>>((onProgress) =>
    alone(view.records, "count", async () => {
      await record(view, "trail.read", { reason: "count of every session" });
      return usesOf(view, signal, onProgress);
    }),
  );
  for await (const scanned of work)
    yield html`<div class="muted">${plural(scanned, "session")} counted …</div>`;
  const uses = await work.result;
  const ring = view.records.settings.format.keyNames ?? [];
  yield card(
    "Sessions by key",
    table(
      "Sessions by key",
      ["Key", "Place", "Live", "Ended"],
      [...uses].map(([key, { live, ended }]) => [
        html`<code>${key}</code>`,
        ring[0] === key ? "newest" : ring.includes(key) ? "older" : "not in the ring",
        number(live),
        number(ended),
      ]),
      ["Live", "Ended"],
    ),
    html`<p class="muted">
      Counted at ${moment(new Date(view.records.now()))}. A key without sessions can still be that of cookies:
      <code>stored-session keys status</code> says until when.
    </p>`,
  );
  yield html`<p><a href="${pathTo(view, "/keys")}">Back to keys and jobs</a></p>`;
}

async function usesOf(
  { records }: View,
  signal: AbortSignal,
  onProgress: (scanned: number) => void,
): Promise<ReadonlyMap<string, Use>> {
  const { format } = records.settings;
  const uses = new Map((format.keyNames ?? []).map((key) => [key, { live: 0, ended: 0 }]));
  const now = records.now();
  for await (const row of walk(records, { signal, onProgress: ({ scanned }) => onProgress(scanned) })) {
    const needed = keysOf(format, row);
    for (const key of needed.length === 0 ? ["none"] : needed) {
      const use = uses.get(key) ?? { live: 0, ended: 0 };
      use[now < storedEndOf(row, records.settings) ? "live" : "ended"]++;
      uses.set(key, use);
    }
  }
  return uses;
}
