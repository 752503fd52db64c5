import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytesSource } from './byte-source.js'
import { parseSafetensors, readHeader, readTensor, SafetensorsError } from './safetensors.js'

const whole = new Uint8Array(readFileSync(new URL('../../fixtures/all-dtypes.safetensors', import.meta.url)))
const headerBytes = Number(new DataView(whole.buffer).getBigUint64(0, true))
const header = new TextDecoder().decode(whole.subarray(8, 8 + headerBytes))

type Mutation = (bytes: Uint8Array) => Uint8Array

/** Blind damage: bytes overwritten, cut off, cut out, put in. */
const blind: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(fc.nat(), fc.nat(255)).map(
    ([at, value]): Mutation =>
      (bytes) =>
        bytes.map((b, i) => (i === at % bytes.length ? value : b)),
  ),
  fc.nat().map(
    (at): Mutation =>
      (bytes) =>
        bytes.slice(0, at % bytes.length),
  ),
  fc.tuple(fc.nat(), fc.nat(20)).map(
    ([at, n]): Mutation =>
      (bytes) => {
        const start = at % bytes.length
        return Uint8Array.from([...bytes.slice(0, start), ...bytes.slice(start + n)])
      },
  ),
  fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 20 })).map(
    ([at, more]): Mutation =>
      (bytes) => {
        const start = at % bytes.length
        return Uint8Array.from([...bytes.slice(0, start), ...more, ...bytes.slice(start)])
      },
  ),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(
    (length): Mutation =>
      (bytes) => {
        const changed = bytes.slice()
        new DataView(changed.buffer).setBigUint64(0, length, true)
        return changed
      },
  ),
)

/** Aimed damage: one token of the header replaced, the length set right again. */
const token = /"(?:[^"\\]|\\.)*"|-?\d+|[[\]{}:,]/g
const tokens = [...header.matchAll(token)]
const replacement = fc.oneof(
  fc.constantFrom(
    '"__proto__"',
    '"f32"',
    '"F32"',
    '"I64"',
    '"BOOL"',
    '{}',
    '[]',
    'null',
    '-1',
    '0',
    '1e400',
    '0.5',
    '9007199254740992',
    '4294967296',
    '',
    '"\\ud800"',
  ),
  fc.nat(300).map(String),
  fc.constantFrom(...tokens.map(([text]) => text)),
)
const aimed: fc.Arbitrary<Mutation> = fc.tuple(fc.nat(tokens.length - 1), replacement).map(
  ([which, text]): Mutation =>
    () => {
      const { index, 0: old } = tokens[which] as RegExpExecArray
      const changed = new TextEncoder().encode(header.slice(0, index) + text + header.slice(index + old.length))
      const bytes = new Uint8Array(8 + changed.length + whole.length - 8 - headerBytes)
      new DataView(bytes.buffer).setBigUint64(0, BigInt(changed.length), true)
      bytes.set(changed, 8)
      bytes.set(whole.subarray(8 + headerBytes), 8 + changed.length)
      return bytes
    },
)

test('a damaged file is read or refused with a SafetensorsError, by both readers alike', async () => {
  let refused = 0
  const mutations = fc.array(fc.oneof(blind, aimed), { minLength: 1, maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(mutations, async (steps) => {
      const bytes = steps.reduce<Uint8Array>((b, mutate) => (b.length < 8 ? b : mutate(b)), whole)
      const outcome = attempt(() => parseSafetensors(bytes).tensors)
      const source = bytesSource(bytes)
      const lazily = await readHeader(source).then(
        async (head) => {
          for (const [name, tensor] of outcome ?? []) expect(await readTensor(source, head, name)).toEqual(tensor)
          return head.tensors.size
        },
        (error: unknown) => {
          expect(error).toBeInstanceOf(SafetensorsError)
          return undefined
        },
      )
      expect(lazily).toBe(outcome?.size)
      if (outcome === undefined) refused++
    }),
    { seed: 20, numRuns: 500 },
  )
  // the mutations do bite, and some do leave a file
  expect(refused).toBeGreaterThan(250)
  expect(refused).toBeLessThan(500)
})

function attempt<T>(f: () => T): T | undefined {
  try {
    return f()
  } catch (error) {
    expect(error).toBeInstanceOf(SafetensorsError)
    return undefined
  }
}
