import { connect, type AddressInfo } from "node:net";
import { once } from "node:events";
import { createWebSocketStream, WebSocketServer } from "ws";

/** A WebSocket in front of a PostgreSQL server, as Neon has one. */
export async function startWebSocketProxy(target: number): Promise<{ port: number } & AsyncDisposable> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  server.on("connection", (socket) => {
    const stream = createWebSocketStream(socket);
    const connection = connect(target, "127.0.0.1");
    stream.pipe(connection).pipe(stream);
    for (const end of [stream, connection]) {
      end.on("error", () => {});
      end.on("close", () => {
        stream.destroy();
        connection.destroy();
        socket.terminate();
      });
    }
  });
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const client of server.clients) client.terminate();
      await new Promise<void>((resolve) => server.close(resolve));
    },
  };
}
