import { connect } from "node:net";
import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** One connection with a session of its own, which asks again as soon as it is answered. */
export class Visitor {
  readonly #socket: Socket;
  readonly #cookies = new Map<string, string>();
  #received = "";
  #answered: ((response: string) => void) | null = null;
  #failed: ((error: Error) => void) | null = null;
  #lost: Error | null = null;
  #requests: number;

  /** @param turn so that not all visitors change their session in the same moment */
  constructor(port: number, turn: number) {
    this.#requests = turn;
    this.#socket = connect({ host: "127.0.0.1", port, noDelay: true });
    this.#socket.setEncoding("latin1");
    this.#socket.on("data", (chunk: string) => this.#receive(chunk));
    this.#socket.on("error", (error) => this.#lose(error));
    this.#socket.on("close", () => this.#lose(new Error("The server closed the connection.")));
  }

  async begin(): Promise<void> {
    await this.#ask("/begin");
  }

  /**
   * Asks until the time (performance.now) is over, and adds the delay of each answer in ms. With `every`, one request
   * in so many ms, the first at a time of the visitor's own; a late answer makes the next request late.
   */
  async visit(end: number, delays: number[], every = 0): Promise<void> {
    let due = performance.now() + every * Math.random();
    for (;;) {
      if (every > 0) await pause(Math.max(0, due - performance.now()));
      due += every;
      const start = performance.now();
      if (start >= end) return;
      const response = await this.#ask(this.#requests++ % 10 === 9 ? "/change" : "/look");
      if (!response.includes('"visits":')) throw new Error(`A session was lost: ${response}`);
      delays.push(performance.now() - start);
    }
  }

  close(): void {
    this.#failed = null;
    this.#socket.destroy();
  }

  #lose(error: Error): void {
    this.#lost ??= error;
    this.#failed?.(error);
  }

  #ask(path: string): Promise<string> {
    const cookies = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const cookie = cookies ? `Cookie: ${cookies}\r\n` : "";
    return new Promise((resolve, reject) => {
      if (this.#lost) throw this.#lost;
      this.#answered = resolve;
      this.#failed = reject;
      this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\n${cookie}\r\n`);
    });
  }

  #receive(chunk: string): void {
    this.#received += chunk;
    const end = this.#received.indexOf("\r\n\r\n");
    if (end === -1) return;
    const head = this.#received.slice(0, end);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
    if (!(this.#received.length >= end + 4 + length)) return;
    const body = this.#received.slice(end + 4, end + 4 + length);
    this.#received = this.#received.slice(end + 4 + length);
    if (head.toLowerCase().includes("set-cookie")) this.#keep(head);
    if (head.startsWith("HTTP/1.1 200")) this.#answered?.(body);
    else this.#failed?.(new Error(`The server answered: ${head}\n${body}`));
  }

  #keep(head: string): void {
    for (const [, name, value] of head.matchAll(/\r\nset-cookie: ([^=]+)=([^;\r]*)/gi)) {
      this.#cookies.set(name as string, value as string);
    }
  }
}
