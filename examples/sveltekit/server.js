import { createServer } from "node:http";

const server = createServer();
await new Promise((resolve) => server.listen(Number(process.env.PORT ?? 3000), "localhost", resolve));
const origin = `http://localhost:${server.address().port}`;
process.env.ORIGIN ??= origin; // which adapter-node checks forms against
const { handler } = await import("./dist/handler.js");
server.on("request", handler);
console.log(`Open ${origin}`);
process.once("SIGTERM", () => {
  server.close(() => process.emit("sveltekit:shutdown"));
  server.closeAllConnections();
});
