/** JSON with bytes in it. */
export const toJson = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) =>
    each instanceof Uint8Array ? { bytes: Array.from(each) } : each,
  );

export const fromJson = (text: string): unknown =>
  JSON.parse(text, (_, each: { bytes?: number[] } | null) =>
    Array.isArray(each?.bytes) ? Uint8Array.from(each.bytes) : each,
  );
