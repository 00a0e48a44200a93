/** Loaded with the first request: most processes that mount the dashboard never show a page. */
import type { Answer } from "./answers.ts";
import type { Page } from "./layout.ts";
import { auditAction, auditPage } from "./pages/audit.ts";
import { keysAction, keysPage } from "./pages/keys.ts";
import { overviewPage } from "./pages/overview.ts";
import { sessionAction, sessionPage } from "./pages/session.ts";
import { userAction, userPage } from "./pages/user.ts";
import type { View } from "./view.ts";

export { liveFigures } from "./pages/overview.ts";

interface Route {
  readonly page: (view: View) => Promise<Page>;
  readonly action?: (view: View) => Promise<Answer>;
}

export const routes: Readonly<Record<string, Route>> = {
  "/": { page: overviewPage },
  "/user": { page: userPage, action: userAction },
  "/session": { page: sessionPage, action: sessionAction },
  "/audit": { page: auditPage, action: auditAction },
  "/keys": { page: keysPage, action: keysAction },
};
