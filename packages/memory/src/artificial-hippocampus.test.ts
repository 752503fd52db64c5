import {
  gatedLinearAttention,
  type Mixed,
  Module,
  normal,
  normalInit,
  Rng,
  Rotary,
  type State,
  softmaxAttention,
} from '@mneme/core-tensor'
import { inPieces, read, type Sequence, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { matMul, mul, reshape, type Tensor, tensor4d, transpose, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import {
  ArtificialHippocampus,
  type ArtificialHippocampusOptions,
  type Compressor,
  type LeavingTokens,
} from './artificial-hippocampus.js'
import { DeltaCompressor } from './delta-compressor.js'

const [D, H, K] = [6, 2, 4]
const base: ArtificialHippocampusOptions = {
  dModel: D,
  nHeads: H,
  nKvHeads: H,
  dHead: K,
  window: 6,
  sinks: 2,
  rotary: { dims: K },
}
const delta = (rng: Rng, decay = true, std = 0): DeltaCompressor =>
  new DeltaCompressor(
    { dModel: D, nHeads: H, dHead: K, decay, normEps: 1e-5, chunk: 8, outputInit: normalInit(std) },
    rng,
  )

/** Attention of the mixer's own projections over sinks and a window. */
function attention(mixer: ArtificialHippocampus, x: Tensor, window: number, sinks: number): Tensor {
  const [B, T] = x.shape as [number, number]
  const rotary = new Rotary({ dims: K })
  const heads = (y: Tensor): Tensor => reshape(y, [B, T, H, K])
  const { o } = softmaxAttention(
    {
      q: rotary.forward(heads(mixer.qProj.forward(x)), 0),
      k: rotary.forward(heads(mixer.kProj.forward(x)), 0),
      v: heads(mixer.vProj.forward(x)),
    },
    { causal: true, window, sinks },
  )
  return mixer.oProj.forward(reshape(o, [B, T, H * K]))
}

/** Adds up k vᵀ and is read by the plain query: linear attention, another recurrent memory altogether. */
class Summing extends Module implements Compressor {
  readonly gateWidth = 0
  readonly seen: LeavingTokens[] = []
  initialState(batch: number): Tensor {
    return zeros([batch, H, K, K])
  }
  gates(x: Tensor): Tensor {
    return x
  }
  forward(tokens: LeavingTokens, state: State): Mixed<State> {
    this.seen.push(tokens)
    const { q, k, v } = tokens
    const { o, state: after } = gatedLinearAttention({ q, k, v, state: state as Tensor })
    return { y: o, state: after }
  }
  stateBytes(): number {
    return 4 * H * K * K
  }
}

describe('ArtificialHippocampus', () => {
  test('output matrices of zero, as at first: attention over sinks and window, nothing else', async () => {
    await within(async () => {
      const rng = new Rng(1)
      const mixer = new ArtificialHippocampus(delta(rng), base, rng)
      const x = normal(new Rng(2), [2, 19, D], 1)
      expectClose(await read(mixer.forward(x).y), await read(attention(mixer, x, 4, 2)), 1e-6, 'outputs')
    })
  })

  test('a window of at least T: attention alone, whatever the memory', async () => {
    await within(async () => {
      for (const compressor of [delta(new Rng(1), true, 1), delta(new Rng(1), false, 1), new Summing()]) {
        const mixer = new ArtificialHippocampus(compressor, { ...base, window: 9, sinks: 2 }, new Rng(3))
        const x = normal(new Rng(2), [2, 9, D], 1)
        expectClose(await read(mixer.forward(x).y), await read(attention(mixer, x, 0, 0)), 1e-6, 'outputs')
        const longer = normal(new Rng(2), [2, 10, D], 1)
        const differs = await read(span(mixer.forward(longer).y, 9, 1))
        expect(differs).not.toEqual(await read(span(attention(mixer, longer, 7, 2), 9, 1)))
      }
    })
  })

  test('every token is visible or absorbed, once: what leaves at t is a + t - W, from t = W on', async () => {
    await within(async () => {
      const T = 17
      for (const sizes of [[T], [3, 1, 6, 7], Array<number>(T).fill(1)]) {
        const compressor = new Summing()
        const mixer = new ArtificialHippocampus(compressor, { ...base, rotary: null }, new Rng(3))
        const x = normal(new Rng(2), [1, T, D], 1)
        inPieces(mixer as unknown as Sequence, x, sizes)
        const keys = await read(mixer.kProj.forward(x))
        const flat = async (name: 'k' | 'leaves'): Promise<number[]> =>
          (await Promise.all(compressor.seen.map((tokens) => read(tokens[name])))).flatMap((values) => [...values])
        const expected = Float32Array.from({ length: T * H * K }, (_, n) => {
          const [t, c] = [Math.floor(n / (H * K)), n % (H * K)]
          return t < base.window ? 0 : (keys[(base.sinks + t - base.window) * H * K + c] as number)
        })
        expectClose(await flat('k'), expected, 1e-6, `keys that leave, pieces of ${sizes.join(', ')}`)
        expect(await flat('leaves')).toEqual(Array.from({ length: T }, (_, t) => (t < base.window ? 0 : 1)))
      }
    })
  })

  test('inside any recurrent memory: with sums of k vᵀ it is window attention plus linear attention W tokens late', async () => {
    await within(async () => {
      const [T, window] = [15, 4]
      const options = { ...base, window, sinks: 0, rotary: null }
      const mixer = new ArtificialHippocampus(new Summing(), options, new Rng(4))
      const x = normal(new Rng(5), [1, T, D], 1)
      const rows = (y: Tensor): Tensor => transpose(reshape(y, [1, T, H, K]), [0, 2, 1, 3])
      const [q, k, v] = [mixer.qProj, mixer.kProj, mixer.vProj].map((p) => rows(p.forward(x))) as [
        Tensor,
        Tensor,
        Tensor,
      ]
      const late = tensor4d(
        Float32Array.from({ length: T * T }, (_, n) => (Math.floor(n / T) - (n % T) >= window ? K ** -0.5 : 0)),
        [1, 1, T, T],
      )
      const linear = matMul(mul(matMul(q, k, false, true), late), v)
      const o = softmaxAttention(
        { q: transpose(q, [0, 2, 1, 3]), k: transpose(k, [0, 2, 1, 3]), v: transpose(v, [0, 2, 1, 3]) },
        { causal: true, window },
      ).o
      const both = mixer.oProj.forward(reshape(o, [1, T, H * K]))
      const memory = mixer.oProj.forward(reshape(transpose(linear, [0, 2, 1, 3]), [1, T, H * K]))
      const expected = Float32Array.from(await read(both))
      for (const [n, value] of (await read(memory)).entries()) expected[n] = (expected[n] as number) + value
      expectClose(await read(mixer.forward(x).y), expected, 1e-5, 'outputs')
    })
  })

  test('values that the memory adds: 3 D H + H K² + K + 2 H, without decay 2 D H + H K² + K', async () => {
    await within(async () => {
      expect(delta(new Rng(0)).parameterCount()).toBe(3 * D * H + H * K * K + K + 2 * H)
      expect(delta(new Rng(0), false).parameterCount()).toBe(2 * D * H + H * K * K + K)
      // published for 36 layers, 13.0 and 11.8 million values; one a head of the former is never read
      const published = { dModel: 2048, nHeads: 16, dHead: 128, normEps: 1e-5, chunk: 64 }
      for (const [decay, count] of [
        [true, 12_982_464 - 36 * 16],
        [false, 11_801_088],
      ] as const) {
        expect(36 * new DeltaCompressor({ ...published, decay }, new Rng(0)).parameterCount()).toBe(count)
      }
    })
  })

  test('the output matrices start at zero', async () => {
    await within(async () => {
      const sizes = { dModel: D, nHeads: H, dHead: K, decay: true, normEps: 1e-5, chunk: 8 }
      const values = await read(new DeltaCompressor(sizes, new Rng(0)).oProj)
      expect(values.every((value) => value === 0)).toBe(true)
    })
  })

  test('sizes that leave no window, or heads that do not divide, are refused', () => {
    const make = (options: Partial<ArtificialHippocampusOptions>) => () =>
      new ArtificialHippocampus(new Summing(), { ...base, ...options }, new Rng(0))
    expect(make({ sinks: 6 })).toThrow(/window: expected more than the sinks, of which there are 6, got 6/)
    expect(make({ nHeads: 3 })).toThrow(/multiple of nKvHeads = 2, got 3/)
  })
})
