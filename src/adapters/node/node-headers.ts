import type { HeaderTarget } from "../headers.ts";

/** The header methods of `http.ServerResponse` and `Http2ServerResponse`. */
export interface NodeHeaderMethods {
  getHeaderNames(): string[];
  getHeader(name: string): number | string | string[] | undefined;
  setHeader(name: string, value: number | string | readonly string[]): unknown;
  appendHeader(name: string, value: string | readonly string[]): unknown;
}

export class NodeHeaders implements HeaderTarget {
  readonly #response: NodeHeaderMethods;

  constructor(response: NodeHeaderMethods) {
    this.#response = response;
  }

  get(name: string): string | undefined {
    const value = this.#response.getHeader(name);
    return Array.isArray(value) ? value.join(", ") : value === undefined ? undefined : String(value);
  }

  names(): string[] {
    return this.#response.getHeaderNames();
  }

  set(name: string, value: string): void {
    this.#response.setHeader(name, value);
  }

  append(name: "set-cookie", value: string): void {
    this.#response.appendHeader(name, value);
  }
}
