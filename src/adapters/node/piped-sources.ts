interface Source {
  unpipe(destination: unknown): void;
  destroy?(): void;
}

interface Destination {
  once(event: string, listener: (...args: never[]) => void): unknown;
}

/** The streams that are piped into a response. */
export class PipedSources {
  #sources: Set<Source> | null = null;

  add(source: unknown): void {
    (this.#sources ??= new Set()).add(source as Source);
  }

  delete(source: unknown): void {
    this.#sources?.delete(source as Source);
  }

  get any(): boolean {
    return this.#sources !== null && this.#sources.size > 0;
  }

  /** Streams that were piped into a dropped response must not flow into the next one. */
  detachFrom(response: Destination): void {
    const sources = [...(this.#sources ?? [])];
    for (const source of sources) source.unpipe(response);
    if (sources.length === 0) return;
    const { req } = response as { req?: unknown };
    // Destroying them now would make stream.pipeline destroy the response, so they are destroyed at its end.
    response.once("close", () => {
      for (const source of sources) if (source !== req) source.destroy?.();
    });
  }
}
