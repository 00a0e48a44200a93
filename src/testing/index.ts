/** `stored-session/testing`: the contract suites for stores and adapters, and a clock for tests. */
export { fakeClock, type FakeClock } from "./clock.ts";
export { storeContract, type StoreContractOptions } from "./store-contract.ts";
export { contractFresh } from "./adapter-fresh.ts";
export { adapterContract, type AdapterContractOptions, type ContractApp } from "./adapter-contract.ts";
export type { RunningApp } from "./adapter-world.ts";
export {
  contractError,
  contractHeaders,
  type ContractAnswer,
  type ContractSession,
} from "./adapter-routes.ts";
