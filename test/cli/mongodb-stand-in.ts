/**
 * Stands in for mongod, which no package of Debian's or npm's brings: documents of one collection, over MongoDB's wire
 * protocol, for the real driver and the real connect-mongo.
 */
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { BSON } from "mongodb";

type Document = Record<string, any>;

const opReply = 1;
const opQuery = 2004;
const opMsg = 2013;

export async function startMongo(): Promise<{ url: string; stop(): Promise<void> }> {
  const documents = new Map<string, Document>();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let received = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 4 && received.length >= received.readInt32LE(0)) {
        const size = received.readInt32LE(0);
        socket.write(answer(received.subarray(0, size), documents));
        received = received.subarray(size);
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `mongodb://127.0.0.1:${(server.address() as AddressInfo).port}/shop`,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

function answer(message: Buffer, documents: Map<string, Document>): Buffer {
  const id = message.readInt32LE(4);
  const code = message.readInt32LE(12);
  if (code === opQuery) {
    const head = Buffer.alloc(20); // flags, cursor, first, number
    head.writeInt32LE(1, 16);
    return packed(opReply, id, Buffer.concat([head, BSON.serialize(hello)]));
  }
  const reply = run(commandIn(message), documents);
  return packed(opMsg, id, Buffer.concat([Buffer.alloc(5), BSON.serialize(reply)]));
}

function packed(code: number, to: number, body: Buffer): Buffer {
  const head = Buffer.alloc(16);
  head.writeInt32LE(16 + body.length, 0);
  head.writeInt32LE(to, 8);
  head.writeInt32LE(code, 12);
  return Buffer.concat([head, body]);
}

/** The body of the command, with the documents that travel in sections of their own. */
function commandIn(message: Buffer): Document {
  const command: Document = {};
  for (let at = 20; at < message.length;) {
    const kind = message[at++];
    const size = message.readInt32LE(at);
    const end = at + size;
    if (kind === 0) Object.assign(command, BSON.deserialize(message.subarray(at, end)));
    else {
      const name = message.toString("latin1", at + 4, message.indexOf(0, at + 4));
      const list: Document[] = [];
      for (let from = at + 5 + name.length; from < end; from += message.readInt32LE(from))
        list.push(BSON.deserialize(message.subarray(from, from + message.readInt32LE(from))));
      command[name] = list;
    }
    at = end;
  }
  return command;
}

const hello = {
  ok: 1,
  ismaster: true,
  isWritablePrimary: true,
  helloOk: true,
  maxBsonObjectSize: 16_777_216,
  maxMessageSizeBytes: 48_000_000,
  maxWriteBatchSize: 100_000,
  minWireVersion: 0,
  maxWireVersion: 25,
};

function run(command: Document, documents: Map<string, Document>): Document {
  if ("hello" in command || "ismaster" in command) return hello;
  if ("update" in command) {
    for (const { q, u } of command["updates"]) {
      const { _id } = q;
      documents.set(String(_id), { _id, ...documents.get(String(_id)), ...u.$set });
    }
    return { ok: 1, n: command["updates"].length, nModified: command["updates"].length };
  }
  if ("find" in command) return page(command, "firstBatch", [...documents.values()], 0);
  if ("getMore" in command)
    return page(command, "nextBatch", [...documents.values()], Number(command["getMore"]));
  return { ok: 1 };
}

/** Two documents a page, so that a reader has to ask for more. The cursor is the number of those given. */
function page(command: Document, name: string, all: Document[], from: number): Document {
  const next = from + 2;
  const ns = `shop.${String(command["find"] ?? command["collection"])}`;
  const id = BSON.Long.fromNumber(next < all.length ? next : 0);
  return { ok: 1, cursor: { id, ns, [name]: all.slice(from, next) } };
}
