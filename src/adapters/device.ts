import type { DeviceAnswer, DeviceRequest } from "../device-binding/endpoint.ts";
import { recordsOf, settingsOf, type SessionManager } from "../manager.ts";
import { stateOf, type Session } from "../session/session.ts";
import type { FetchRequest } from "./fresh.ts";
import type { NodeRequest, NodeResponse } from "./node/request-types.ts";

/**
 * Answers the endpoint of device-bound sessions (option `deviceBinding`). Null for every other request, and if the option is
 * off.
 * @param url path, or URL
 */
export function deviceAnswer<Data>(
  sessions: SessionManager<Data>,
  url: string,
  request: DeviceRequest,
): Promise<DeviceAnswer> | null {
  const { device } = settingsOf(sessions as SessionManager<never>);
  if (device === null || pathOf(url) !== device.path) return null;
  return answered(sessions as SessionManager<never>, request);
}

async function answered(sessions: SessionManager<never>, request: DeviceRequest): Promise<DeviceAnswer> {
  // Most processes of an application never need it.
  const { answerDevice } = await import("../device-binding/endpoint.ts");
  return answerDevice(recordsOf(sessions), request);
}

/**
 * Answers a link on another site to a page of a session whose device cookie has expired. Browsers refresh that cookie for
 * requests of the own site only, so the page loads itself again. Null for every other request.
 */
export function bounce<Data>(session: Session<Data>, request: DeviceRequest): DeviceAnswer | null {
  if (!stateOf(session as Session<never>).device.isUnproved || !isLinkElsewhere(request)) return null;
  return {
    status: 200,
    headers: { "content-type": "text/html; charset=utf-8", "cache-control": "no-store", vary: "Cookie" },
    body: '<!doctype html><meta http-equiv="refresh" content="0"><title>…</title>',
  };
}

/** Whether a browser follows a link on another site. */
function isLinkElsewhere({ method, header }: DeviceRequest): boolean {
  const isNavigation = header("sec-fetch-mode") === "navigate" && header("sec-fetch-dest") === "document";
  const site = header("sec-fetch-site");
  return method === "GET" && isNavigation && (site === "cross-site" || site === "same-site");
}

/** Whether {@link bounce} has to see the session of this request. */
export function mayBounce<Data>(sessions: SessionManager<Data>, request: FetchRequest): boolean {
  const { device } = settingsOf(sessions as SessionManager<never>);
  return device !== null && isLinkElsewhere(fetchedRequest(request));
}

export function bounceResponse<Data>(session: Session<Data>, request: FetchRequest): Response | null {
  const answer = bounce(session, fetchedRequest(request));
  return answer && new Response(answer.body, answer);
}

export function nodeBounce<Data>(session: Session<Data>, request: NodeRequest): DeviceAnswer | null {
  if (!stateOf(session as Session<never>).device.isUnproved) return null;
  return bounce(session, receivedRequest(request));
}

function fetchedRequest({ method, headers }: FetchRequest): DeviceRequest {
  return { method, header: (name) => headers.get(name) };
}

/** The same for fetch requests. */
export function deviceResponse<Data>(
  sessions: SessionManager<Data>,
  request: FetchRequest,
): Promise<Response> | null {
  const answering = deviceAnswer(sessions, request.url, fetchedRequest(request));
  return answering && answering.then(({ body, ...init }) => new Response(body, init));
}

export function sendDeviceAnswer(response: NodeResponse, { status, headers, body }: DeviceAnswer): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.end(body);
}

/** The same for requests of `node:http`. */
export function nodeDeviceAnswer<Data>(
  sessions: SessionManager<Data>,
  request: NodeRequest,
): Promise<DeviceAnswer> | null {
  // A framework may have cut a prefix off the URL.
  if (settingsOf(sessions as SessionManager<never>).device === null) return null;
  const { originalUrl = request.url ?? "/" } = request as { originalUrl?: string };
  return deviceAnswer(sessions, originalUrl, receivedRequest(request));
}

function receivedRequest({ method = "GET", headers }: NodeRequest): DeviceRequest {
  return {
    method,
    header(name) {
      const value = headers[name];
      return Array.isArray(value) ? value.join(", ") : value;
    },
  };
}

function pathOf(url: string): string {
  const path = url.startsWith("/") ? url : url.replace(/^[a-z]+:\/\/[^/?#]*/i, "");
  return path.split(/[?#]/, 1)[0]!;
}
