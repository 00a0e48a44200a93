/**
 * Gives an object a property of its own, whatever the key: `constructor` and its like land on the object itself, and
 * neither a setter on `Object.prototype` nor a frozen one gets in the way (R46).
 * @returns false, and nothing is changed, when the object has the property already
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
