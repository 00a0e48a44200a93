import { devices, type AuditDevice } from "./events.ts";

/** A rough guess, for counts only. */
export function deviceOf(userAgent: string | undefined): number {
  return devices.indexOf(kindOf(userAgent));
}

function kindOf(userAgent: string | undefined): AuditDevice {
  if (!userAgent) return "none";
  const text = userAgent.slice(0, 512);
  if (/bot|crawl|spider|curl|wget|python|headless|http-client|okhttp\/|axios|node-fetch/i.test(text))
    return "bot";
  if (/ipad|tablet|kindle|silk|(android(?!.*mobile))/i.test(text)) return "tablet";
  if (/mobile|iphone|ipod|android/i.test(text)) return "mobile";
  return /windows|macintosh|x11|linux|cros/i.test(text) ? "desktop" : "other";
}
