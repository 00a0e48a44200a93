import type { SessionManager } from "../../manager.ts";
import { stateOf, type Session } from "../../session/session.ts";
import { forbidStoring, writeSessionHeaders } from "../headers.ts";
import { loadedFor } from "../loaded.ts";
import { NodeHeaders } from "../node/node-headers.ts";
import { answerError, attachSession, type NodeResponse } from "../node/node-response.ts";
import { tellOfLateChanges } from "../state.ts";
import type { H3Event1 } from "./events.ts";

export interface H3Version1Options {
  /** How many proxies stand in front of the server, for `X-Forwarded-For` and `X-Forwarded-Proto`. Default 0. */
  readonly trustProxy?: boolean | number;
  readonly onError?: ((error: unknown, event: H3Event1) => void) | undefined;
}

/** The internal request of `event.$fetch`: Nitro gives it the context of the event that sent it. */
interface InternalRequest {
  readonly __unenv__?: unknown;
}

/** Holds the `node:http` response of the event. h3 1 has no other place where every kind of response passes. */
export async function sessionOfVersion1<Data>(
  sessions: SessionManager<Data>,
  event: H3Event1,
  { trustProxy = 0, onError }: H3Version1Options,
): Promise<Session<Data>> {
  const { req, res } = event.node;
  if (!("__unenv__" in req)) {
    try {
      return await attachSession(sessions, req, res, {
        trustProxy,
        onError: onError === undefined ? answerError : (error) => onError(error, event),
      });
    } catch (error) {
      const headers = new NodeHeaders(res);
      writeSessionHeaders(headers, { accessed: true, setCookie: null });
      forbidStoring(headers);
      throw error;
    }
  }
  const { __unenv__: outer } = req as InternalRequest;
  const shared = typeof outer === "object" && outer !== null ? loadedFor(sessions, outer) : undefined;
  return shared ?? readOnly(sessions, event);
}

/** For an internal request that no event sent: its response cannot wait, and its cookie reaches no browser. */
async function readOnly<Data>(
  sessions: SessionManager<Data>,
  { node: { req, res } }: H3Event1,
): Promise<Session<Data>> {
  const session = await sessions.load(req.headers.cookie);
  (res as NodeResponse & { once(event: string, listener: () => void): void }).once("finish", () =>
    tellOfLateChanges(stateOf(session as Session<never>)),
  );
  return session;
}
