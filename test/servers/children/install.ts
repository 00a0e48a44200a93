/** Keeps packages from starting services, by the policy of the given path, until a line arrives. */
import { once } from "node:events";
import { withoutServices } from "../../../scripts/services/policy.ts";

await withoutServices(async () => {
  console.log("installing");
  await once(process.stdin, "data");
}, process.argv[2]);
process.stdin.destroy();
