/**
 * What the pages use of packages that are not development dependencies (bun, the types of passport).
 * Only the shapes that appear on the pages: these blocks are checked against this package, not against those.
 */
declare module "passport" {
  import type { RequestHandler } from "express";
  const passport: {
    session(): RequestHandler;
    serializeUser(serialize: (user: unknown, done: (error: unknown, id?: unknown) => void) => void): void;
    authenticate(strategy: string, options: Record<string, string>): RequestHandler;
  };
  export default passport;
}

declare namespace Express {
  interface Request {
    logout(done: (error?: unknown) => void): void;
  }
}

declare const Bun: {
  serve(options: {
    fetch(
      request: Request,
      server: { requestIP(request: Request): { address: string } | null },
    ): Response | Promise<Response>;
  }): void;
};
