/**
 * A wait that can be ended before its time. Its timer is cleared then: thousands of timers left behind a second outlive the young generation of the heap,
 * and fill the old one.
 */
export class Wait {
  #end = () => {};

  async upTo(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#end = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Nothing where none is waited for. */
  readonly end = (): void => this.#end();
}
