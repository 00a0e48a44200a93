/** Some program: it says its port when it can be connected to, and runs until it is ended. */
import { createServer } from "node:net";

const server = createServer((socket) => socket.on("error", () => {}).end());
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") console.log(address.port);
});
