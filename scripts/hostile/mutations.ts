import { Rng } from '@mneme/core-tensor'

/** What parsers, allocators and prototypes trip over. */
const words = ['__proto__', 'constructor', 'prototype', 'toString', '../../etc/passwd', '..', '/', '\0', '\ud800', '']
const numbers = [-1, 0, 0.5, Number.MAX_VALUE, -Number.MAX_VALUE, 2 ** 31, 2 ** 32, 2 ** 53, 1e9, 4e9]
const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** Seeded damage: the same seed gives the same file, so a failure can be looked at again. */
export class Mutator {
  private readonly rng: Rng

  constructor(seed: number) {
    this.rng = new Rng(seed)
  }

  int(below: number): number {
    return this.rng.int(0, below)
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)] as T
  }

  /** Bytes overwritten, cut off, cut out, put in, or swapped, one to three times. */
  bytes(given: Uint8Array): Uint8Array {
    let bytes: Uint8Array = given.slice()
    for (let times = 1 + this.int(3); times > 0; times--) bytes = this.damaged(bytes)
    return bytes
  }

  private damaged(bytes: Uint8Array): Uint8Array {
    const at = this.int(bytes.length + 1)
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)]
    const joined = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]))
    switch (this.int(5)) {
      case 0:
        return joined(before, Uint8Array.of(this.int(256)), after.subarray(1))
      case 1:
        return before.slice()
      case 2:
        return joined(before, after.subarray(this.int(40)))
      case 3:
        return joined(
          before,
          Uint8Array.from({ length: this.int(40) }, () => this.int(256)),
          after,
        )
      default:
        return joined(
          Uint8Array.from({ length: 8 }, () => this.pick([0, 1, 127, 255])),
          bytes.subarray(8),
        )
    }
  }

  /** Characters of a text damaged, or a word of trouble put in. */
  text(given: string): string {
    const at = this.int(given.length + 1)
    if (this.int(3) === 0) return given.slice(0, at) + this.pick([...words, '"', '{', ']', ',', deep]) + given.slice(at)
    return new TextDecoder().decode(this.bytes(new TextEncoder().encode(given)))
  }

  /** A value in a tree replaced, removed, repeated or renamed: what parses, and means something else. */
  json(given: Json): Json {
    const copy = structuredClone(given)
    const places: [holder: Json[] | { [key: string]: Json }, key: string | number][] = []
    const visit = (value: Json): void => {
      if (value === null || typeof value !== 'object') return
      const keys = Array.isArray(value) ? value.keys() : Object.keys(value)
      for (const key of keys) {
        places.push([value, key])
        visit((value as { [key: string]: Json })[key] as Json)
      }
    }
    visit(copy)
    if (places.length === 0) return this.strange()
    for (let times = 1 + this.int(2); times > 0; times--) {
      const [holder, key] = this.pick(places)
      const way = this.int(5)
      if (way === 0) Reflect.deleteProperty(holder, key)
      else own(holder, way === 1 ? this.pick(words) : key, this.strange())
    }
    return copy
  }

  private strange(): Json {
    const other: Json[] = [null, true, {}, [], [[]], { a: { b: {} } }, 'x'.repeat(1 + this.int(2000))]
    return this.pick<Json>([...words, ...numbers, ...numbers, ...other])
  }
}

/** Sets a key as JSON does: `__proto__` is one like any other. */
function own(holder: object, key: string | number, value: Json): void {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true })
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
