/** Anchors and formats of the audit trail: `stored-session/audit`. */
export { fileAnchor, syslogAnchor, webhookAnchor, type Anchor } from "./anchors.ts";
export { formatEvent } from "./formats.ts";
