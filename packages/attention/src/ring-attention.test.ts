import { normal, Rng, softmaxAttention, valueAndGrads, vjp, watch } from '@mneme/core-tensor'
import { peakBytes } from '@mneme/core-tensor/inspect/peak-bytes'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { dispose, slice, sum, type Tensor, tensor2d, tidy } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { type AttentionHeads, blockwiseAttention, inProcessRing, type Ring, ringAttention } from './ring-attention.js'

const T = 22
function heads(seed: number): AttentionHeads {
  const rng = new Rng(seed)
  return { q: normal(rng, [2, T, 4, 3], 1), k: normal(rng, [2, T, 2, 3], 1), v: normal(rng, [2, T, 2, 5], 1) }
}
const documents = (): Tensor =>
  tensor2d(
    Array.from({ length: 2 * T }, (_, n) => (n < T ? (n < 9 ? 0 : 1) : n < T + 15 ? 0 : 1)),
    [2, T],
  )

/** Ways to the same outputs. */
const forms: Readonly<Record<string, (inputs: AttentionHeads, causal: boolean) => { o: Tensor; lse: Tensor }>> = {
  'blocks of 5 and 3': (inputs, causal) => blockwiseAttention(inputs, { causal, queryBlock: 5, keyBlock: 3 }),
  'blocks of 1': (inputs, causal) => blockwiseAttention(inputs, { causal, queryBlock: 1, keyBlock: 1 }),
  'one block': (inputs, causal) => blockwiseAttention(inputs, { causal, queryBlock: 64, keyBlock: 64 }),
  ...Object.fromEntries(
    [1, 2, 4, T].map((n) => [
      `${n} devices`,
      (inputs: AttentionHeads, causal: boolean) => ringAttention(inputs, inProcessRing(n), { causal }),
    ]),
  ),
}

describe.each(Object.entries(forms))('%s', (_, run) => {
  test.each([true, false])('outputs, log sums and gradients of softmax attention (causal: %s)', async (causal) => {
    await within(async () => {
      const inputs = heads(1)
      const whole = softmaxAttention({ ...inputs }, { causal })
      const actual = run(inputs, causal)
      expectClose(await read(actual.o), await read(whole.o), 1e-5, 'outputs')
      expectClose(await read(actual.lse), await read(whole.lse), 1e-5, 'log sums')
      const { q, k, v } = inputs
      const dy = normal(new Rng(2), [2, T, 4, 5], 1)
      const expected = vjp(() => [softmaxAttention({ q, k, v }, { causal }).o], [q, k, v], [dy])
      const grads = vjp(() => [run(inputs, causal).o], [q, k, v], [dy])
      for (const [i, g] of grads.entries()) {
        expectClose(await read(g), await read(expected[i] as Tensor), 1e-4, `gradient ${i}`)
      }
    })
  })

  test('documents that do not see each other', async () => {
    await within(async () => {
      const [inputs, ids] = [heads(3), documents()]
      const whole = softmaxAttention({ ...inputs, queryDocuments: ids, keyDocuments: ids })
      expectClose(await read(run({ ...inputs, documents: ids }, true).o), await read(whole.o), 1e-5, 'outputs')
    })
  })
})

describe('blocks', () => {
  test('memory of both passes grows with T, not with its square', async () => {
    await within(async () => {
      const peak = async (T: number, pass: (f: () => Tensor, by: Tensor[]) => Tensor): Promise<number> => {
        const [q, k, v] = [9, 10, 11].map((seed) => normal(new Rng(seed), [1, T, 1, 4], 1)) as [Tensor, Tensor, Tensor]
        const options = { causal: true, queryBlock: 8, keyBlock: 8 }
        const run = (): Tensor => sum(blockwiseAttention({ q, k, v }, options).o)
        const bytes = await peakBytes(async () => pass(run, [q, k, v]))
        dispose([q, k, v])
        return bytes
      }
      for (const [name, shortest, pass] of [
        ['forward', 64, (f: () => Tensor) => tidy(f)],
        ['backward', 64, (f: () => Tensor, by: Tensor[]) => valueAndGrads(f, by).value],
      ] as const) {
        const [short, middle, long] = [
          await peak(shortest, pass),
          await peak(2 * shortest, pass),
          await peak(4 * shortest, pass),
        ]
        // twice as many tokens more take twice as many bytes more; by the square it would be four times
        expect((long - middle) / (middle - short), name).toBeCloseTo(2, 1)
      }
    })
  })
})

describe('ring', () => {
  test('every device meets every block once, and its own first', () => {
    for (const devices of [1, 2, 4, 7]) {
      const ring = inProcessRing(devices)
      let held: readonly number[] = Array.from({ length: devices }, (_, i) => i)
      const met = held.map((block) => [block])
      for (let step = 1; step < devices; step++) {
        held = ring.pass(held)
        for (const [i, block] of held.entries()) {
          expect(block).toBe((((i - step) % devices) + devices) % devices)
          met[i]?.push(block)
        }
      }
      for (const blocks of met) expect([...blocks].sort((a, b) => a - b)).toEqual(blocks.map((_, n) => n))
      // one more hop, and each is home
      expect(ring.pass(held)).toEqual(met.map((_, i) => i))
    }
  })

  test('which way round, and so where a device starts, changes nothing', async () => {
    await within(async () => {
      const inputs = heads(7)
      const back: Ring = { devices: 4, pass: (held) => [...held.slice(1), ...held.slice(0, 1)] }
      for (const causal of [true, false]) {
        const [one, other] = [inProcessRing(4), back].map((ring) => ringAttention(inputs, ring, { causal }))
        expectClose(await read(other?.o as Tensor), await read(one?.o as Tensor), 1e-5, `causal: ${causal}`)
      }
    })
  })

  test('of causal attention device i has work in i + 1 of the steps, of all to all in every one', async () => {
    await within(async () => {
      const firstRows = (inputs: AttentionHeads) => read(slice(inputs.q, [0, 0, 0, 0], [1, T, 1, 1]))
      for (const [causal, expected] of [
        [true, [1, 2, 3, 4]],
        [false, [4, 4, 4, 4]],
      ] as const) {
        const inputs = heads(8)
        const asked: Tensor[] = []
        watch(
          { onOp: ({ op, inputs: given }) => void (op.name === 'softmaxAttention' && asked.push(given.q as Tensor)) },
          () => ringAttention(inputs, inProcessRing(4), { causal }),
        )
        // a device is known by the first number of its queries
        const known = await firstRows(inputs)
        const owners = [0, 1, 2, 3].map((i) => known[Math.floor((i * T) / 4)])
        const found = await Promise.all(asked.map(async (q) => owners.indexOf((await read(q))[0] as number)))
        expect(owners.map((_, i) => found.filter((owner) => owner === i).length)).toEqual(expected)
      }
    })
  })

  test('no device holds more than its share of the keys', async () => {
    await within(async () => {
      const sizes: number[] = []
      const plain = inProcessRing(4)
      const watched: Ring = {
        devices: 4,
        pass: (held) => {
          for (const block of held as readonly { readonly k: Tensor }[]) sizes.push(block.k.shape[1] as number)
          return plain.pass(held)
        },
      }
      ringAttention(heads(4), watched, { causal: true })
      expect(sizes.length).toBe(3 * 4)
      expect(Math.max(...sizes)).toBe(Math.ceil(T / 4))
    })
  })

  test('more devices than tokens, no devices, and blocks of nothing are refused', async () => {
    await within(async () => {
      expect(() => ringAttention(heads(5), inProcessRing(T + 1), { causal: true })).toThrow(/22 for 23 devices/)
      expect(() => inProcessRing(0)).toThrow(/at least 1, got 0/)
      const none = { causal: true, queryBlock: 0, keyBlock: 1 }
      expect(() => blockwiseAttention(heads(6), none)).toThrow(
        /queryBlock: expected a whole number of tokens, at least 1, got 0/,
      )
    })
  })
})
