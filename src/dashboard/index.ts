/** The dashboard for operators, and its mounts for frameworks: docs/dashboard.md. */
export { dashboard, type DashboardHandler } from "./dashboard.ts";
export type { DashboardAccess, DashboardOptions, DashboardPermission } from "./options.ts";
export { toFastify, toKoa, toNode, type NodeMount } from "./mounts.ts";
