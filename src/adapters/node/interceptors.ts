/**
 * Replaces methods of a response with those of a guard. The assignments are written out, because a loop over the names
 * takes ten times as long. Replacing the prototype is not possible, because Express replaces it for each nested
 * application.
 */
import { EventEmitter } from "node:events";
import type { Mutator, Output, Subscriber } from "./response-calls.ts";

export type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;
/** HTTP/2 has no `_implicitHeader`, and old versions lack some of the others. */
export type Methods<Name extends string> = { [name in Name]: AnyFunction | undefined };

const guardOf = Symbol("stored-session.response-guard");

/** The parts of a guard that the interceptors call. */
export interface Interceptor {
  output(method: Output, args: unknown[]): unknown;
  answer(method: Output, args: unknown[]): unknown;
  mutate(method: Mutator, args: unknown[]): unknown;
  subscribe(method: Subscriber, args: unknown[]): unknown;
  /** Called with "pipe", "unpipe" and "close", before the listeners are. */
  heard(event: string, argument: unknown): void;
  /** The method that was there. */
  readonly emitter: AnyFunction;
  look(property: "headersSent" | "writableEnded"): unknown;
}

interface Guarded {
  [guardOf]: Interceptor;
}

/** Returns the guard of a response; undefined if it has none. */
export function guardOn<Guard extends Interceptor>(response: object): Guard | undefined {
  return (response as { [guardOf]?: Guard })[guardOf];
}

/** Gives a response its guard, and returns that. */
export function guardWith<Guard extends Interceptor>(response: object, guard: Guard): Guard {
  return ((response as { [guardOf]?: Guard })[guardOf] = guard);
}

/** Returns the previous methods. */
export function interceptOutputs(response: object, replacements: Methods<Output> = outputs): Methods<Output> {
  const methods = response as Methods<Output>;
  const { writeHead, write, end, flushHeaders, _implicitHeader } = methods;
  if (writeHead) methods.writeHead = replacements.writeHead;
  if (write) methods.write = replacements.write;
  if (end) methods.end = replacements.end;
  if (flushHeaders) methods.flushHeaders = replacements.flushHeaders;
  if (_implicitHeader) methods["_implicitHeader"] = replacements["_implicitHeader"];
  return { writeHead, write, end, flushHeaders, _implicitHeader };
}

/** Replaces the first interceptors after a failed commit, to distinguish the error response from the dropped one. */
export function interceptAnswer(response: object): void {
  interceptOutputs(response, answers);
}

/** Intercepts the events of the response, without a listener for each. Returns the previous method. */
export function interceptEmit(response: object): AnyFunction {
  const methods = response as { emit: AnyFunction };
  const found = methods.emit;
  methods.emit = emit as AnyFunction;
  return found;
}

/** Installed from the commit on. Returns the previous methods. */
export function interceptMutators(response: object): Methods<Mutator> {
  const methods = response as Methods<Mutator>;
  const { setHeader, setHeaders, appendHeader, removeHeader } = methods;
  if (setHeader) methods.setHeader = mutators.setHeader;
  if (setHeaders) methods.setHeaders = mutators.setHeaders;
  if (appendHeader) methods.appendHeader = mutators.appendHeader;
  if (removeHeader) methods.removeHeader = mutators.removeHeader;
  Object.defineProperties(response, disguise);
  return { setHeader, setHeaders, appendHeader, removeHeader };
}

/**
 * Intercepts subscription methods that a layer put over the emitter's own, and returns the previous methods. Null if
 * they are the emitter's own: then listeners hear every event, and nothing needs to be intercepted.
 */
export function interceptSubscribers(response: object): Methods<Subscriber> | null {
  const methods = response as Methods<Subscriber>;
  const { on, addListener, prependListener } = methods;
  const { prototype } = EventEmitter as unknown as { prototype: Methods<Subscriber> };
  if (
    on === prototype.on &&
    addListener === prototype.addListener &&
    prependListener === prototype.prependListener
  )
    return null;
  restoreSubscribers(response, subscribers);
  return { on, addListener, prependListener };
}

/** Removes what layers above the guard put over the methods that it found, or over its own. */
export function dropSubscriberLayers(response: object, found: Methods<Subscriber> | null): void {
  restoreSubscribers(response, found === null ? (EventEmitter.prototype as never) : subscribers);
}

function restoreSubscribers(response: object, replacements: Methods<Subscriber>): void {
  const methods = response as Methods<Subscriber>;
  methods.on = replacements.on;
  methods.addListener = replacements.addListener;
  methods.prependListener = replacements.prependListener;
}

// Shared by all responses, so that guarding one costs no closures.
const outputs: Methods<Output> = {
  writeHead: output("writeHead"),
  write: output("write"),
  end: output("end"),
  flushHeaders: output("flushHeaders"),
  _implicitHeader: output("_implicitHeader"),
};

/** Replaces them after a failed commit. */
const answers: Methods<Output> = {
  writeHead: answer("writeHead"),
  write: answer("write"),
  end: answer("end"),
  flushHeaders: answer("flushHeaders"),
  _implicitHeader: answer("_implicitHeader"),
};

const mutators: Methods<Mutator> = {
  setHeader: mutator("setHeader"),
  setHeaders: mutator("setHeaders"),
  appendHeader: mutator("appendHeader"),
  removeHeader: mutator("removeHeader"),
};

const subscribers: Methods<Subscriber> = {
  on: subscriber("on"),
  addListener: subscriber("addListener"),
  prependListener: subscriber("prependListener"),
};

const disguise: PropertyDescriptorMap = {
  headersSent: disguised("headersSent"),
  writableEnded: disguised("writableEnded"),
};

function emit(this: Guarded, ...args: unknown[]): unknown {
  const guard = this[guardOf];
  const [event] = args;
  if (event === "close" || event === "pipe" || event === "unpipe") guard.heard(event, args[1]);
  return guard.emitter.apply(this, args);
}

function output(method: Output): AnyFunction {
  return function (this: Guarded, ...args: unknown[]) {
    return this[guardOf].output(method, args);
  } as AnyFunction;
}

function answer(method: Output): AnyFunction {
  return function (this: Guarded, ...args: unknown[]) {
    return this[guardOf].answer(method, args);
  } as AnyFunction;
}

function mutator(method: Mutator): AnyFunction {
  return function (this: Guarded, ...args: unknown[]) {
    return this[guardOf].mutate(method, args);
  } as AnyFunction;
}

function subscriber(method: Subscriber): AnyFunction {
  return function (this: Guarded, ...args: unknown[]) {
    return this[guardOf].subscribe(method, args);
  } as AnyFunction;
}

function disguised(property: "headersSent" | "writableEnded"): PropertyDescriptor {
  return {
    configurable: true,
    get(this: Guarded) {
      return this[guardOf].look(property);
    },
  };
}
