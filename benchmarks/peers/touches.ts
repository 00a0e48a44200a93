import { channel } from "node:diagnostics_channel";

interface Touch {
  readonly handle: string;
  readonly error?: unknown;
}

type Answer = (touch: Touch) => void;
const awaited = new Map<string, Answer>();

/** Nothing listens before the first touch is awaited, so the other operations are measured without. */
let listening = false;
function listen(): void {
  if (listening) return;
  listening = true;
  channel("tracing:stored-session.touch:asyncEnd").subscribe((message) => {
    const touch = message as Touch;
    const answer = awaited.get(touch.handle);
    awaited.delete(touch.handle);
    answer?.(touch);
  });
}

/** Resolves when the next touch of this session has been answered: no commit waits for its own. */
export function nextTouch(handle: string): Promise<void> {
  listen();
  return new Promise((resolve, reject) => {
    awaited.set(handle, ({ error }) => (error === undefined ? resolve() : reject(error as Error)));
  });
}
