import { statusOf } from "../node/response-calls.ts";

const reasons: Readonly<Record<number, string>> = {
  401: "Unauthorized",
  409: "Conflict",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/**
 * The error with the properties of Boom, hapi's errors, which decide the response: its own status, where hapi would answer
 * every other error with 500. Boom itself marks errors in place too. A message is shown only below 500.
 */
export function boomOf(thrown: unknown, status: number = statusOf(thrown)): Error {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
  if ("isBoom" in error) return error;
  const output = { statusCode: status, headers: {}, payload: {} };
  const reformat = (): void => {
    const reason = reasons[status] ?? "Error";
    const message =
      status === 500 ? "An internal server error occurred" : status < 500 ? error.message : reason;
    output.payload = { statusCode: status, error: reason, message };
  };
  reformat();
  return Object.assign(error, { isBoom: true, isServer: status >= 500, output, reformat });
}
