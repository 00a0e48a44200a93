/**
 * What the pages use of packages that are not development dependencies (bun, AdonisJS, the types of passport).
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

declare module "@adonisjs/core/http" {
  export interface HttpContext {
    session: {
      sessionId: string;
      regenerate(): void;
      clear(): void;
      tag(userId: string | number): Promise<void>;
    };
  }
}

declare module "@adonisjs/session" {
  import type { AdonisContext, AdonisSessionConfig, AdonisSessionStore } from "stored-session/adonisjs";
  export function defineConfig(config: {
    store: string;
    stores: Record<string, (context: AdonisContext, config: AdonisSessionConfig) => AdonisSessionStore>;
    age: string | number;
    cookie: Record<string, unknown>;
  }): object;
  export class SessionCollection {
    tagged(userId: string | number): Promise<{ id: string; data: Record<string, unknown> }[]>;
  }
}
