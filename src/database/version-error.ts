import { StoreError } from "../errors.ts";

/** A batch of updates was not applied, because one of its rows has another version. Never leaves the store. */
export class VersionError extends StoreError {}
