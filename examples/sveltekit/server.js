import { createServer } from "node:http";

// adapter-node takes every request for https unless a header says otherwise, and refuses forms of another origin.
process.env.PROTOCOL_HEADER = "x-forwarded-proto";
const { handler } = await import("./dist/handler.js");

const server = createServer((request, response) => {
  request.headers["x-forwarded-proto"] ??= "http";
  handler(request, response);
});
server.listen(Number(process.env.PORT ?? 3000), "localhost", () => {
  console.log(`Open http://localhost:${server.address().port}`);
});
process.once("SIGTERM", () => {
  server.close(() => process.emit("sveltekit:shutdown"));
  server.closeAllConnections();
});
