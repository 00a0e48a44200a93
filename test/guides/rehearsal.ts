/** Goes through a guide of docs/ step by step, as an operator would, with servers and users around. */
import assert from "node:assert/strict";
import { createSessionManager, generateKey, type SessionManager } from "../../src/index.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { openPlace, type Place } from "../session/place.ts";
import { shows, stepsOf, type Step } from "./page.ts";

export interface Answer {
  code: number | null;
  out: string;
  err: string;
}

/** The operator's shell. */
export interface Shell {
  /** Runs `stored-session` with these words and the keys that were set last. */
  run(words: readonly string[], keys: string): Promise<Answer>;
  /** Called with every command that was run. */
  onCommand?(words: readonly string[], answer: Answer, milliseconds: number): void;
}

export interface User {
  readonly id: string;
  cookie: string;
  /** Whether the user comes back while the guide is followed. */
  readonly isAbsent: boolean;
}

interface Data {
  hits: number;
}

class Server {
  readonly store: SqlStore;
  manager: SessionManager<Data>;

  constructor(place: Place, keys: string) {
    this.store = openPlace(place);
    this.manager = createSessionManager<Data>({ store: this.store, keys });
  }

  restart(keys: string): void {
    this.manager = createSessionManager<Data>({ store: this.store, keys });
  }
}

export class Rehearsal implements AsyncDisposable {
  /** The key in use at the beginning: `<leaked>` and `<old>` of the guides. */
  readonly key: string = generateKey();
  readonly servers: readonly Server[];
  readonly users: User[] = [];
  /** What stands for the words in angle brackets. */
  readonly words: Record<string, string> = { leaked: this.key, old: this.key };
  /** Users that a server took for anonymous, each time that it did. */
  anonymous = 0;
  keys: string = this.key;
  #newestSince = new Date();
  readonly #shell: Shell;

  constructor(place: Place, shell: Shell) {
    this.#shell = shell;
    this.servers = [new Server(place, this.key), new Server(place, this.key)];
  }

  async logIn(id: string, address = "192.0.2.7", isAbsent = false): Promise<User> {
    const { manager } = this.servers[this.users.length % 2]!;
    const session = await manager.load(null, { address, userAgent: "Firefox" });
    session.login(id);
    session.data.hits = 0;
    const user = { id, cookie: cookieOf(await manager.commit(session))!, isAbsent };
    this.users.push(user);
    return user;
  }

  /** How many of the users every server knows. */
  async loggedIn(users: readonly User[] = this.users): Promise<number> {
    let count = 0;
    for (const { id, cookie } of users) {
      const found = await Promise.all(this.servers.map(({ manager }) => manager.load(cookie)));
      if (found.every((session) => session.user === id)) count++;
    }
    return count;
  }

  /** Users send requests, each to all servers in turn, and keep the cookies that they get. */
  async visits(users: readonly User[] = this.users.filter(({ isAbsent }) => !isAbsent)): Promise<void> {
    for (const user of users) {
      for (const { manager } of this.servers) {
        const session = await manager.load(user.cookie);
        if (session.user !== user.id) {
          this.anonymous++;
          continue;
        }
        session.data.hits = (session.data.hits ?? 0) + 1;
        user.cookie = cookieOf(await manager.commit(session)) ?? user.cookie;
      }
    }
  }

  /** Follows the steps below a heading. `before` is called before each of them. */
  async follow(
    page: string,
    heading: string,
    { before, skip = [] }: { before?(step: Step): Promise<void>; skip?: readonly number[] } = {},
  ): Promise<void> {
    const steps = stepsOf(page, heading);
    assert.deepEqual(
      steps.map(({ number }) => number),
      steps.map((_, index) => index + 1),
      "the steps are numbered",
    );
    for (const step of steps) {
      if (skip.includes(step.number)) continue;
      await before?.(step);
      await this.#take(step);
    }
  }

  /** Runs one line of a guide, such as `npx stored-session count`. */
  async command(line: string): Promise<Answer> {
    const [npx, name, ...words] = this.#filled(line).split(" ");
    assert.deepEqual([npx, name], ["npx", "stored-session"], line);
    const began = performance.now();
    const answer = await this.#shell.run(words, this.keys);
    this.#shell.onCommand?.(words, answer, performance.now() - began);
    assert.equal(answer.code, 0, `${line}: ${answer.out}${answer.err}`);
    if (words.join(" ") === "keys generate") this.words["new"] = answer.out.trim();
    return answer;
  }

  async #take({ blocks, text }: Step): Promise<void> {
    let line = "";
    let printed: string | null = null;
    for (const block of blocks) {
      if (block.language === "ini") await this.#set(block.text, /Stop every server/.test(text));
      if (block.language === "sh") {
        line = block.text;
        printed = (await this.command(line)).out;
      }
      if (block.language !== "text") continue;
      if (printed === null) {
        // A second example is what the command prints later, when everybody has been here.
        await this.visits(this.users);
        printed = (await this.command(line)).out;
      }
      assert.ok(shows(printed, block.text), `${line} printed\n${printed}\nnot\n${block.text}`);
      printed = null;
    }
  }

  /** Sets the keys everywhere, with a restart of one server after the other unless they are all stopped first. */
  async #set(setting: string, atOnce: boolean): Promise<void> {
    const [name, value] = setting.split("=");
    assert.equal(name, "STORED_SESSION_KEYS");
    this.keys = this.#filled(value!);
    if (atOnce) for (const server of this.servers) server.restart(this.keys);
    for (const server of this.servers) {
      server.restart(this.keys);
      if (server === this.servers.at(-1)) {
        await new Promise((resolve) => setTimeout(resolve, 2)); // so that the visits below are later
        this.#newestSince = new Date();
      }
      await this.visits();
    }
  }

  #filled(text: string): string {
    const words = { time: this.#newestSince.toISOString(), ...this.words } as Record<string, string>;
    return text.replaceAll(/<(\w+)>/g, (all, word: string) => {
      assert.ok(words[word] !== undefined, `nothing stands for ${all}`);
      return words[word];
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map(({ store }) => store.close()));
  }
}

const cookieOf = (setCookie: string | null): string | null => setCookie?.split(";")[0] ?? null;
