import type { NodeRequest, NodeResponse } from "../node/node-response.ts";

/** As much of an event of h3 1 or 2 as is used. */
export interface H3Event {
  readonly context: object;
}

/** h3 1, which Nitro 2 and Nuxt 3 and 4 run on. */
export interface H3Event1 extends H3Event {
  readonly node: { readonly req: NodeRequest; readonly res: NodeResponse };
}

/** h3 2, which Nitro 3 runs on. */
export interface H3Event2 extends H3Event {
  readonly req: Request & { readonly ip?: string | undefined };
  readonly res: { readonly headers: Headers; readonly errHeaders: Headers };
  readonly app?: { readonly config: H3Config } | undefined;
}

export interface H3Config {
  onResponse?: ((response: Response, event: H3Event) => unknown) | undefined;
}
