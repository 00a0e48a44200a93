import { BlockList, isIP } from "node:net";
import { InvalidArgumentError, type Command } from "commander";
import type { Records } from "../session/records.ts";
import type { RowInfo } from "../store/row.ts";
import { Failure } from "./failure.ts";
import { plural } from "../shared/wording.ts";
import { missingKeyAdvice } from "./missing-key.ts";
import { instantFrom } from "./options.ts";

/** Options that choose sessions by where and when they began. */
export interface FilterOptions {
  address?: AddressRange;
  createdBefore?: Date;
  createdAfter?: Date;
}

export interface AddressRange {
  readonly text: string;
  matches(address: string): boolean;
}

export function filtered(command: Command, what: string): Command {
  return command
    .option("--address <range>", `${what} from this address or range, such as 192.0.2.0/24`, addressRange)
    .option(
      "--created-after <time>",
      `${what} created at this time or later; a day alone counts from its start in UTC`,
      instantFrom,
    )
    .option("--created-before <time>", `${what} created before this time`, instantFrom);
}

export function hasFilter({ address, createdBefore, createdAfter }: FilterOptions): boolean {
  return (address ?? createdBefore ?? createdAfter) !== undefined;
}

/** Chooses rows, and counts those whose address could not be read. */
export class Filter {
  /** Sessions within the times whose address is sealed with a key that is not in the ring, or was edited. */
  unreadable = 0;
  readonly #records: Records;
  readonly #options: FilterOptions;

  constructor(records: Records, options: FilterOptions) {
    this.#records = records;
    this.#options = options;
  }

  /** @param pass rows that a later pass meets again are not counted again */
  matches(row: RowInfo, pass: number = 1): boolean {
    const { address, createdBefore, createdAfter } = this.#options;
    if (createdBefore !== undefined && row.createdAt >= createdBefore.getTime()) return false;
    if (createdAfter !== undefined && row.createdAt < createdAfter.getTime()) return false;
    if (address === undefined) return true;
    if (row.client === null) return false;
    const client = this.#records.clientOf(row);
    if (client === null && pass === 1) this.unreadable++;
    return client?.address !== undefined && address.matches(client.address);
  }

  /** @throws {Failure} there may be more sessions than were found */
  assertComplete(): void {
    if (this.unreadable === 0) return;
    throw new Failure(
      `The address of ${plural(this.unreadable, "session")} could not be read, so ${this.unreadable === 1 ? "it" : "they"} may be from there too. "stored-session keys status" shows whether a key is not in the ring. ${missingKeyAdvice}`,
    );
  }
}

/** An IP address, a range in CIDR notation, or else text that is compared as it is. */
export function addressRange(text: string): AddressRange {
  if (text.trim() === "") throw new InvalidArgumentError("Use an address or a range.");
  const [network = "", bits] = text.split("/");
  const version = isIP(network);
  if (version === 0) {
    if (bits !== undefined)
      throw new InvalidArgumentError("Use a range such as 192.0.2.0/24 or 2001:db8::/32.");
    return { text, matches: (address) => address === text };
  }
  const family = version === 4 ? "ipv4" : "ipv6";
  const list = new BlockList();
  const most = version === 4 ? 32 : 128;
  if (bits === undefined) list.addAddress(network, family);
  else if (/^\d{1,3}$/.test(bits) && Number(bits) <= most) list.addSubnet(network, Number(bits), family);
  else throw new InvalidArgumentError(`Use a prefix length from 0 to ${most}.`);
  return {
    text,
    matches(address) {
      const kind = isIP(address);
      return kind !== 0 && list.check(address, kind === 4 ? "ipv4" : "ipv6");
    },
  };
}
