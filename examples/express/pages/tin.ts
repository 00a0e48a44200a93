import { html, Html } from "../html.ts";

/** A tea tin with a picture on its label. Colours come from the style sheet. */
export function tin(sku: string): Html {
  return html`<svg viewBox="0 0 200 150" aria-hidden="true">
    <ellipse class="shade" cx="100" cy="136" rx="52" ry="6" />
    <path class="body" d="M60 44h80v82a10 10 0 0 1-10 10H70a10 10 0 0 1-10-10z" />
    <path class="side" d="M122 44h18v82a10 10 0 0 1-10 10h-8z" />
    <rect class="lid" x="55" y="24" width="90" height="22" rx="6" />
    <rect class="knob" x="90" y="14" width="20" height="11" rx="4" />
    <rect class="label" x="60" y="62" width="80" height="54" />
    <g class="motif" transform="translate(100 89)">${motifs[sku]}</g>
  </svg>`;
}

const flower = [0, 72, 144, 216, 288].map(
  (turn) => `<ellipse cy="-11" rx="5.500" ry="9" transform="rotate(${turn})"/>`,
);

const motifs: Record<string, Html> = {
  sencha: html`<path d="M-20 16C-14-8 0-18 4-20 4-4-4 10-20 16zM-6 18C2 2 14-6 22-8 20 6 10 16-6 18z" />`,
  assam: html`<circle r="10" />
    <path class="stroke" d="M0-21v6M0 15v6M-21 0h6M15 0h6M-15-15l4 4M11 11l4 4M-15 15l4-4M11-11l4-4" />`,
  oolong: html`<path class="stroke" d="M0 0c3-4 9-2 9 4s-7 10-14 8-11-12-6-20 18-10 26-2 6 22-4 26" />`,
  jasmine: html`${new Html(flower.join(""))}<circle class="heart" r="4" />`,
  rooibos: html`<path class="stroke" d="M0 20V-6M0 8l-12-12M0 4l12-14M0-2l-7-14M0-6l6-12" />
    <circle cx="-12" cy="-5" r="3.500" />
    <circle cx="12" cy="-11" r="3.500" />
    <circle cx="-7" cy="-17" r="3.500" />
    <circle cx="6" cy="-19" r="3.500" />`,
  lapsang: html`<path d="M0-22l9 13H4l9 12H6l10 13h-32L-6 3h-7l9-12h-5z" /><path
      class="stroke"
      d="M0 14v7"
    />`,
};
