import { normal, normalInit, parameter, Rng, vjp } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, ones, split, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { RelativeAttention, type RelativeAttentionOptions } from './relative-attention.js'
import { SoftmaxAttention } from './softmax-attention.js'

const [D, H, K] = [6, 2, 3]
const options: RelativeAttentionOptions = {
  dModel: D,
  nHeads: H,
  dHead: K,
  segment: 8,
  memory: 8,
  sameLength: false,
  clampLength: 0,
  projection: { bias: false, init: normalInit(0.5) },
}

/** The same weights for every variant. */
function make(variant: Partial<RelativeAttentionOptions> = {}): RelativeAttention {
  const rng = new Rng(1)
  const biases = { content: parameter(normal(rng, [H, K], 0.5)), position: parameter(normal(rng, [H, K], 0.5)) }
  return new RelativeAttention({ ...options, ...variant }, biases, rng)
}

const draw = (seed: number, B: number, T: number): Tensor => normal(new Rng(seed), [B, T, D], 1)

/** The definition with two loops over queries and keys, in float64. One row, one segment; the memory stands in front. */
async function loops(mixer: RelativeAttention, memory: Tensor | null, x: Tensor, clamp = 0): Promise<Float64Array> {
  const context = memory === null ? x : concat([memory, x], 1)
  const [S, T] = [context.shape[1] as number, x.shape[1] as number]
  const M = S - T
  const [qkv, relative, out, u, w] = (await Promise.all(
    [
      mixer.qkvProj.forward(context),
      mixer.relProj.weight,
      mixer.oProj.weight,
      mixer.contentBias,
      mixer.positionBias,
    ].map(read),
  )) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array]
  const part = (which: number, t: number, n: number): number => qkv[t * 3 * H * K + which * H * K + n] as number
  /** r = W_r R_d, with R_d = [sin(d ω_m), cos(d ω_m)]. */
  const r = (distance: number, n: number): number => {
    const d = clamp > 0 ? Math.min(distance, clamp) : distance
    let total = 0
    for (let m = 0; m < D / 2; m++) {
      const angle = d * 10000 ** ((-2 * m) / D)
      total += (relative[n * D + m] as number) * Math.sin(angle)
      total += (relative[n * D + D / 2 + m] as number) * Math.cos(angle)
    }
    return total
  }
  const y = new Float64Array(T * D)
  for (let i = 0; i < T; i++) {
    const mixed = new Float64Array(H * K)
    for (let h = 0; h < H; h++) {
      const weights: number[] = []
      for (let j = 0; j <= M + i; j++) {
        let score = 0
        for (let c = 0; c < K; c++) {
          const n = h * K + c
          score += (part(0, M + i, n) + (u[n] as number)) * part(1, j, n)
          score += (part(0, M + i, n) + (w[n] as number)) * r(M + i - j, n)
        }
        weights.push(Math.exp(score / Math.sqrt(K)))
      }
      const total = weights.reduce((a, b) => a + b, 0)
      for (const [j, weight] of weights.entries()) {
        for (let c = 0; c < K; c++) {
          const n = h * K + c
          mixed[n] = (mixed[n] as number) + (weight / total) * part(2, j, n)
        }
      }
    }
    for (let d = 0; d < D; d++) {
      y[i * D + d] = mixed.reduce((sum, value, n) => sum + value * (out[d * H * K + n] as number), 0)
    }
  }
  return y
}

describe('RelativeAttention', () => {
  test('the shift of rows = an explicit double loop over queries and keys, with and without memory', async () => {
    await within(async () => {
      for (const clampLength of [0, 3]) {
        const mixer = make({ clampLength })
        const [first, second] = [draw(2, 1, 8), draw(3, 1, 8)]
        const one = mixer.forward(first)
        expectClose(await read(one.y), await loops(mixer, null, first, clampLength), 1e-5, 'first segment')
        const two = mixer.forward(second, one.state)
        expectClose(await read(two.y), await loops(mixer, first, second, clampLength), 1e-5, 'second segment')
        const third = draw(4, 1, 3)
        const part = mixer.forward(third, two.state)
        expectClose(await read(part.y), await loops(mixer, second, third, clampLength), 1e-5, 'part of a segment')
      }
    })
  })

  test('u = v = 0 and W_r = 0: plain content attention without positions', async () => {
    await within(async () => {
      const mixer = make({ segment: 7 })
      for (const variable of [mixer.contentBias, mixer.positionBias, mixer.relProj.weight]) {
        variable.assign(zeros(variable.shape))
      }
      const heads = { dModel: D, nHeads: H, nKvHeads: H, dHead: K, window: 0, rotary: null }
      const plain = new SoftmaxAttention(heads, new Rng(0))
      const [q, k, v] = split(mixer.qkvProj.weight, 3, 0) as [Tensor, Tensor, Tensor]
      plain.qProj.weight.assign(q)
      plain.kProj.weight.assign(k)
      plain.vProj?.weight.assign(v)
      plain.oProj.weight.assign(mixer.oProj.weight)
      const x = draw(5, 2, 7)
      expectClose(await read(mixer.forward(x).y), await read(plain.forward(x).y), 1e-5, 'outputs')
    })
  })

  test('two segments with a memory that holds the first = one segment of twice the length', async () => {
    await within(async () => {
      const x = draw(6, 2, 16)
      const whole = await read(make({ segment: 16, memory: 0 }).forward(x).y)
      for (const memory of [8, 11]) {
        expectClose(await read(make({ segment: 8, memory }).forward(x).y), whole, 1e-5, `memory ${memory}`)
      }
    })
  })

  test('what is beyond memory and segment has no effect, even in front', async () => {
    await within(async () => {
      const mixer = make({ segment: 4, memory: 6 })
      const [x, junk, other] = [draw(7, 1, 12), draw(8, 1, 8), draw(9, 1, 8)]
      // the last segment of x sees six tokens before it, all of x
      const last = async (...before: Tensor[]) =>
        read(span(mixer.forward(concat([...before, x], 1)).y, 8 * before.length + 8, 4))
      const alone = await read(span(mixer.forward(x).y, 8, 4))
      expectClose(await last(junk), alone, 1e-6, 'one prefix')
      expectClose(await last(other, junk), alone, 1e-6, 'two prefixes')
    })
  })

  test('the oldest token that memory holds has an effect, the one before it has none', async () => {
    await within(async () => {
      const mixer = make({ segment: 4, memory: 6 })
      const [x, other] = [draw(10, 1, 12), draw(11, 1, 12)]
      const last = async (input: Tensor) => read(span(mixer.forward(input).y, 8, 4))
      const changed = (t: number): Tensor => concat([span(x, 0, t), span(other, t, 1), span(x, t + 1, 11 - t)], 1)
      expect(await last(changed(1))).toEqual(await last(x))
      expect(await last(changed(2))).not.toEqual(await last(x))
    })
  })

  test('same length: every query sees as many keys, its own included', async () => {
    await within(async () => {
      const memory = 6
      const mixer = make({ segment: 4, memory, sameLength: true })
      const [x, other] = [draw(12, 1, 16), draw(13, 1, 16)]
      const before = mixer.forward(x).y
      for (const t of [12, 13, 14, 15]) {
        for (const [back, seen] of [
          [memory, false],
          [memory - 1, true],
        ] as const) {
          const at = t - back
          const changed = concat([span(x, 0, at), span(other, at, 1), span(x, at + 1, 15 - at)], 1)
          const [a, b] = [await read(span(before, t, 1)), await read(span(mixer.forward(changed).y, t, 1))]
          if (seen) expect(b, `${back} before ${t}`).not.toEqual(a)
          else expect(b, `${back} before ${t}`).toEqual(a)
        }
      }
    })
  })

  test('a clamp that no distance reaches changes nothing', async () => {
    await within(async () => {
      const x = draw(14, 1, 16)
      const plain = await read(make().forward(x).y)
      expect(await read(make({ clampLength: 15 }).forward(x).y)).toEqual(plain)
      expect(await read(make({ clampLength: 5 }).forward(x).y)).not.toEqual(plain)
    })
  })

  test('no gradient flows into memory; within the open segment it does', async () => {
    await within(async () => {
      const mixer = make({ segment: 4, memory: 4 })
      const [old, open, x] = [draw(15, 1, 4), draw(16, 1, 2), draw(17, 1, 2)]
      const run = (): Tensor[] => [mixer.forward(x, mixer.forward(open, mixer.forward(old).state).state).y]
      const [intoOld, intoOpen] = vjp(run, [old, open], [ones([1, 2, D])]) as [Tensor, Tensor]
      expect((await read(intoOld)).every((g) => g === 0)).toBe(true)
      expect((await read(intoOpen)).some((g) => g !== 0)).toBe(true)
    })
  })

  test('memory holds inputs, the latest of them, and nothing of a segment that is not full', async () => {
    await within(async () => {
      const mixer = make({ segment: 4, memory: 6 })
      const x = draw(18, 1, 11)
      const { memory, segment } = mixer.forward(x).state as { memory: Tensor; segment: Tensor }
      expect(await read(memory)).toEqual(await read(span(x, 2, 6)))
      expect(await read(segment)).toEqual(await read(span(x, 8, 3)))
    })
  })

  test('a state is of its own: freeing it frees no input', async () => {
    await within(async () => {
      const x = draw(19, 1, 3)
      const { segment } = make().forward(x).state as { segment: Tensor }
      segment.dispose()
      expect(x.isDisposed).toBe(false)
      expect((await read(x)).length).toBe(3 * D)
    })
  })

  test('without memory, segments do not know of each other', async () => {
    await within(async () => {
      const mixer = make({ segment: 4, memory: 0 })
      const [a, b] = [draw(20, 1, 4), draw(21, 1, 4)]
      const both = mixer.forward(concat([a, b], 1))
      expectClose(await read(span(both.y, 4, 4)), await read(mixer.forward(b).y), 1e-6, 'second segment')
      expect(both.state).toEqual({ memory: null, segment: null })
    })
  })

  test('3 D H K + 2 D H K values, and the two biases', async () => {
    await within(async () => expect(make().parameterCount()).toBe(5 * D * H * K + 2 * H * K))
  })

  test('a segment of no token and a negative memory are refused', () => {
    expect(() => make({ segment: 0 })).toThrow(/segment >= 1/)
    expect(() => make({ memory: -1 })).toThrow(/memory >= 0/)
  })
})
