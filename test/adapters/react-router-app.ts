import { createRequestHandler, type ServerBuild } from "react-router";

interface Options {
  /** Renders a page. Not needed where routes answer themselves. */
  readonly render?: (...args: any[]) => Response;
  /** The flags of react-router.config.ts. */
  readonly future?: object;
}

/**
 * A React Router application, as its production build has it.
 * @param routes by id
 */
export function applicationOf(
  routes: object,
  { render = () => new Response("unused"), future = {} }: Options = {},
): (request: Request) => Promise<Response> {
  const build = {
    entry: { module: { default: render } },
    routes,
    assets: { entry: { module: "", imports: [] }, routes: {}, url: "", version: "1" },
    publicPath: "/",
    assetsBuildDirectory: "",
    future,
    ssr: true,
    isSpaMode: false,
    prerender: [],
    routeDiscovery: { mode: "initial" },
    allowedActionOrigins: false,
  } as unknown as ServerBuild;
  return createRequestHandler(build, "production");
}
