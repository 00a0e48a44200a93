/** Returns its argument, so that a class that extends this one adds its private fields to any object. */
class Given {
  constructor(object: object) {
    return object;
  }
}

class Mark extends Given {
  readonly #owner: object;
  #value: unknown;

  constructor(object: object, owner: object, value: unknown) {
    super(object);
    this.#owner = owner;
    this.#value = value;
  }

  /** Whose mark the object has; null if it has none. */
  static ownerOf(object: object): object | null {
    return #owner in object ? object.#owner : null;
  }

  static add(object: object, owner: object, value: unknown): Mark {
    return new Mark(object, owner, value);
  }

  static read(object: object): unknown {
    return (object as Mark).#value;
  }

  static change(object: object, value: unknown): void {
    (object as Mark).#value = value;
  }
}

/**
 * A value for each of some objects, like a WeakMap, that lives as long as its object. Nothing shows it: not the object's
 * keys, its JSON, a copy or `inspect`.
 *
 * The first owner of an object keeps it in a private field of the object. A WeakMap with an entry for each request costs
 * every garbage collection as much as the rest of a drop-in store does; only further owners and frozen objects use one.
 */
export class Marks<Value> {
  #others: WeakMap<object, Value> | null = null;

  get(object: object): Value | undefined {
    return Mark.ownerOf(object) === this ? (Mark.read(object) as Value) : this.#others?.get(object);
  }

  set(object: object, value: Value): void {
    const owner = Mark.ownerOf(object);
    // Engines may come to refuse private fields for an object that is not extensible.
    const isFree = owner === null && Object.isExtensible(object);
    if (owner === this) Mark.change(object, value);
    else if (isFree) Mark.add(object, this, value);
    else (this.#others ??= new WeakMap()).set(object, value);
  }
}
