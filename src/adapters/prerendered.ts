/** A build has no visitors, so a prerendered page that uses a session would be wrong for all of them. */
export function withoutSession(locals: object, property: string): void {
  Object.defineProperty(locals, property, {
    configurable: true,
    get() {
      throw new TypeError(
        `A prerendered page has no session, and this one uses locals.${property}. Remove \`export const prerender = true\`, or read the session from an endpoint that is not prerendered.`,
      );
    },
  });
}
