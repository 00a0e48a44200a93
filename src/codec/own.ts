/**
 * Sets a property of its own, whatever the key: `constructor` and its like land on the object itself, and neither a
 * setter on `Object.prototype` nor a frozen one gets in the way (R46).
 */
export function setOwn(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key in object) {
    Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  } else {
    object[key] = value;
  }
}
