/** What the proxy uses of `ws`, which has no types of its own. */
declare module "ws" {
  import type { EventEmitter } from "node:events";
  import type { Duplex } from "node:stream";
  interface Socket extends EventEmitter {
    terminate(): void;
  }
  export function createWebSocketStream(socket: Socket): Duplex;
  export class WebSocketServer extends EventEmitter {
    constructor(options: { port: number; host: string });
    readonly clients: Set<Socket>;
    address(): object;
    close(done: () => void): void;
    on(event: "connection", listener: (socket: Socket) => void): this;
  }
}
