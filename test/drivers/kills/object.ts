/** A Durable Object that does what `object-target.ts` asks of it. A response leaves when what it tells is on disk. */
import { DurableObject } from "cloudflare:workers";
import { durableObjectStore } from "../../../src/sql/sqlite/durable-object.ts";
import { fromJson, toJson } from "./bytes-as-json.ts";
import { targetOf, type OpenedTarget } from "./target.ts";

type Asked = readonly [keyof OpenedTarget, ...never[]];

export class Holder extends DurableObject<object> {
  readonly #target: OpenedTarget;

  constructor(context: { storage: never }, environment: object) {
    super(context as never, environment);
    this.#target = targetOf(durableObjectStore(context.storage));
  }

  override async fetch(request: Request): Promise<Response> {
    const [name, ...values] = fromJson(await request.text()) as Asked;
    const method = this.#target[name] as (...values: never[]) => Promise<unknown>;
    return new Response(toJson((await method(...values)) ?? null));
  }
}

interface Environment {
  readonly HOLDER: {
    idFromName(name: string): never;
    get(id: never): { fetch(request: Request): Promise<Response> };
  };
}

export default {
  fetch(request: Request, { HOLDER }: Environment): Promise<Response> {
    return HOLDER.get(HOLDER.idFromName("one")).fetch(request);
  },
};
