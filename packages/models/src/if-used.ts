/**
 * What `make` gives, for values at the top of a module that a bundle may not need: `/* @__PURE__ *\/ ifUsed(() => ...)`.
 * A spread or the property of another object could run code of its own, so bundlers keep it, used or not.
 */
export function ifUsed<T>(make: () => T): T {
  return make()
}
