/** Whether this is a Worker of Cloudflare: no files, no threads, and nothing runs between two requests. */
export function isOnWorkers(): boolean {
  return (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent === "Cloudflare-Workers";
}
