/** Lets what is done with one object be done one after another; what fails ends nobody's wait but its own caller's. */
export class InOrder {
  readonly #last: WeakMap<object, Promise<unknown>> = new WeakMap();

  async do<Answer>(object: object, task: () => Promise<Answer>): Promise<Answer> {
    const before = this.#last.get(object);
    const mine = before === undefined ? task() : before.then(task, task);
    this.#last.set(object, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(object) === mine) this.#last.delete(object);
    }
  }
}
