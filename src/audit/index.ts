/** Anchors and formats of the audit trail: `stored-session/audit`. */
export { fileAnchor, syslogAnchor, webhookAnchor, type Anchor } from "./anchors.ts";
export { fileArchive, type Archive } from "./archive.ts";
export { formatEvent } from "./formats.ts";
