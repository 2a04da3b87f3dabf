/** An object of which a process makes no more use once it is killed: whatever it then asks of it throws. */
export function mortal<T extends object>(object: T, life: { readonly isDead: boolean }): T {
  return new Proxy(object, {
    get(of, name) {
      if (life.isDead) throw new Error('killed');
      const value: unknown = Reflect.get(of, name);
      return typeof value === 'function' ? value.bind(of) : value;
    },
  });
}
