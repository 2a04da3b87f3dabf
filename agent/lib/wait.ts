/**
 * A wait that can be ended early. This also clears its timer: thousands of timers left behind each second outlive the
 * young generation of the heap and fill the old one.
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

  /** Does nothing if there is no wait. */
  readonly end = (): void => this.#end();
}
