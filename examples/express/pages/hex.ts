import { html, type Html } from "../html.ts";

export interface EnvelopePart {
  readonly name: string;
  readonly part: "format" | "key" | "salt" | "commitment" | "ciphertext" | "tag";
  readonly bytes: Uint8Array;
}

/** A sealed column, cut where its format says. */
export function envelopeParts(envelope: Uint8Array): EnvelopePart[] {
  const end = envelope.length - 16;
  return [
    { name: "format", part: "format", bytes: envelope.subarray(0, 2) },
    { name: "key id", part: "key", bytes: envelope.subarray(2, 6) },
    { name: "random salt", part: "salt", bytes: envelope.subarray(6, 22) },
    { name: "commitment to the key", part: "commitment", bytes: envelope.subarray(22, 38) },
    { name: "ciphertext", part: "ciphertext", bytes: envelope.subarray(38, end) },
    { name: "authentication tag", part: "tag", bytes: envelope.subarray(end) },
  ];
}

/** One run of hex in the colours of its parts; it breaks between bytes wherever the line ends. */
export function hexDump(parts: readonly EnvelopePart[]): Html {
  return html`<code class="hex"
    >${parts.map(({ part, bytes }) => html`<span class="${part}">${spaced(bytes)}</span> `)}</code
  >`;
}

export function hexLine(bytes: Uint8Array): Html {
  return html`<code class="hex">${spaced(bytes)}</code>`;
}

function spaced(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString("hex")
    .replace(/..(?=.)/g, "$& ");
}
