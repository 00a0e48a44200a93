/**
 * Adds an own property for any key, including inherited names such as `constructor`. Setters on `Object.prototype` are not
 * called, and a frozen prototype does not prevent it (R46).
 * @returns false, without changing anything, if the object already has the property
 */
export function addOwn(object: Record<string, unknown>, key: string, value: unknown): boolean {
  if (!(key in object)) {
    object[key] = value;
    return true;
  }
  if (Object.hasOwn(object, key)) return false;
  Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  return true;
}
