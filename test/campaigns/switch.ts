import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** A port that leads to one server or another, as a virtual address or a load balancer of databases does. */
export class Switch implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #target: number | null;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#join(client));
  }

  static async to(target: number): Promise<Switch> {
    const created = new Switch(target);
    await new Promise<void>((resolve) => created.#server.listen(0, "127.0.0.1", resolve));
    return created;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Leads new connections elsewhere and breaks the present ones; to nowhere when null. */
  lead(target: number | null): void {
    this.#target = target;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** The present connections say nothing any more and stay open, as those to a machine that lost its power do. */
  silence(): void {
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.lead(null);
    await closed;
  }

  #join(client: Socket): void {
    if (this.#target === null) return void client.destroy();
    const server = connect({ host: "127.0.0.1", port: this.#target });
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.setNoDelay(true);
      this.#sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }
}
