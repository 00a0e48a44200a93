/** What the suites use of the runtime's own module. */
declare module "cloudflare:workers" {
  export class DurableObject<Environment> {
    constructor(context: never, environment: Environment);
    fetch(request: Request): Promise<Response>;
  }
}
