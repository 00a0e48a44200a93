/** Ids of one shard each, at most `most`, in one order for all callers; one id each where the shard is not known. */
export function byShard(
  rows: readonly { readonly id: Uint8Array }[],
  most: number,
  shardOf: (id: Uint8Array) => number | null,
): readonly (readonly Uint8Array[])[] {
  const shards = new Map<number, Uint8Array[][]>();
  const alone: Uint8Array[][] = [];
  for (const { id } of rows) {
    const shard = shardOf(id);
    if (shard === null) {
      alone.push([id]);
      continue;
    }
    let groups = shards.get(shard);
    if (groups === undefined) shards.set(shard, (groups = []));
    const last = groups.at(-1);
    if (last === undefined || last.length === most) groups.push([id]);
    else last.push(id);
  }
  const inOrder = [...shards].toSorted(([a], [b]) => a - b);
  return [...inOrder.flatMap(([, groups]) => groups), ...alone];
}
