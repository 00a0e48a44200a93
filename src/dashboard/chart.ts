import { BarChart } from "echarts/charts";
import { GridComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import { html, raw, type Html } from "./html.ts";

use([BarChart, GridComponent, SVGRenderer]);

export interface Series {
  readonly name: string;
  /** One for each label; null where nothing is known yet. */
  readonly values: readonly (number | null)[];
  /** A color of the style sheet: `var(--<color>)`. */
  readonly color: "blue" | "red" | "green" | "orange" | "gray" | "purple";
}

export interface Chart {
  /** What it shows, for the heading and for screen readers. */
  readonly title: string;
  /** Along the horizontal axis, oldest first. */
  readonly labels: readonly string[];
  /** Stacked on each other, the first one at the bottom. */
  readonly series: readonly Series[];
  /** Tells charts of one page apart. */
  readonly id: string;
}

/** One picture for wide screens and one for phones, where text of the other would be too small to read. */
const sizes = [
  { size: "wide", width: 640, height: 200 },
  { size: "narrow", width: 340, height: 190 },
] as const;

type Size = (typeof sizes)[number];

/**
 * Stacked columns as inline SVG, with the same numbers as a table below for those who cannot see it. Colors are variables of
 * the style sheet, so that one picture serves light and dark screens.
 */
export function chart({ title, labels, series, id }: Chart): Html {
  return html`<figure class="chart" aria-labelledby="${id}">
    <figcaption id="${id}">
      <h2>${title}</h2>
      <span class="legend"
        >${series.map(({ name, color }) => html`<span class="key ${color}">${name}</span>`)}</span
      >
    </figcaption>
    ${sizes.map((size) => raw(kept(labels, series, size)))}${numbers(labels, series, title)}
  </figure>`;
}

/** Pictures by what they show. Most of it is over and does not change, and drawing takes milliseconds. */
const pictures = new Map<string, string>();
const MOST_PICTURES = 50;

function kept(labels: readonly string[], series: readonly Series[], size: Size): string {
  const key = JSON.stringify([size, labels, series]);
  const drawn = pictures.get(key) ?? picture(labels, series, size);
  // The one used last goes last.
  pictures.delete(key);
  pictures.set(key, drawn);
  if (pictures.size > MOST_PICTURES) pictures.delete(pictures.keys().next().value!);
  return drawn;
}

function picture(
  labels: readonly string[],
  series: readonly Series[],
  { size, width, height }: Size,
): string {
  const drawn = init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    drawn.setOption({
      animation: false,
      grid: {
        left: 8,
        right: 8,
        top: 12,
        bottom: 8,
        outerBoundsMode: "same",
        outerBoundsContain: "axisLabel",
      },
      xAxis: {
        type: "category",
        data: [...labels],
        axisLabel: { color: "var(--muted)", hideOverlap: true },
        axisLine: { lineStyle: { color: "var(--line)" } },
        axisTick: { show: false },
      },
      yAxis: {
        type: "value",
        minInterval: 1,
        max: isEmpty(series) ? 1 : null,
        axisLabel: { color: "var(--muted)" },
        splitLine: { lineStyle: { color: "var(--line)" } },
      },
      series: series.map(({ name, values, color }) => ({
        type: "bar",
        name,
        stack: "all",
        barCategoryGap: "25%",
        data: values.map((value) => value ?? "-"),
        itemStyle: { color: `var(--${color})` },
      })),
    });
    return withoutStyles(drawn.renderToSVGString(), size);
  } finally {
    drawn.dispose();
  }
}

function isEmpty(series: readonly Series[]): boolean {
  return series.every(({ values }) => values.every((value) => !value));
}

/** The content security policy allows no style in the markup, and the picture needs none: the style sheet has its fonts. */
function withoutStyles(svg: string, size: string): string {
  return svg
    .replace(/<style[\s\S]*?<\/style>/g, "")
    .replace(/ (?:style|class|ecmeta_\w+)="[^"]*"/g, "")
    .replace("<svg ", `<svg class="${size}" aria-hidden="true" focusable="false" `)
    .replace(/ (?:width|height)="\d+"(?= [^>]*viewBox)/g, "");
}

function numbers(labels: readonly string[], series: readonly Series[], title: string): Html {
  return html`<details>
    <summary>Numbers</summary>
    <div class="scroll" tabindex="0" role="region" aria-label="${title}, as numbers">
      <table>
        <thead>
          <tr>
            <th scope="col">Time (UTC)</th>
            ${series.map(({ name }) => html`<th scope="col" class="number">${name}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${labels.map(
            (label, index) =>
              html`<tr>
                <th scope="row">${label}</th>
                ${series.map(
                  ({ values }) =>
                    html`<td class="number">${values[index]?.toLocaleString("en-US") ?? "–"}</td>`,
                )}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </details>`;
}
