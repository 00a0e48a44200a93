import { randomBytes } from "node:crypto";
import { defineConfig, drivers } from "@adonisjs/core/encryption";

const key = process.env["APP_KEY"] ?? randomBytes(32).toString("base64url"); // it signs cookies: set it too

export default defineConfig({
  default: "aes",
  list: { aes: drivers.aes256gcm({ id: "a", keys: [key] }) },
});
