import { gatedLinearAttention, normal, normalInit, Rng, valueAndGrads } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import {
  abs,
  concat,
  cos,
  cumsum,
  fill,
  mul,
  neg,
  ones,
  reshape,
  sin,
  slice,
  softplus,
  sum,
  type Tensor,
  tensor,
  zeros,
} from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { GateLoop, type GateLoopInputs, type GateLoopOptions, gateLoop } from './gateloop.js'

const options: GateLoopOptions = {
  dModel: 4,
  dInner: 6,
  nHeads: 2,
  transition: 'complex',
  outputGate: true,
  subNorm: false,
  gateGradient: 1,
  chunk: 16,
  projection: { bias: false, init: normalInit(0.5) },
}

const [B, T, H] = [2, 21, 3]

interface Drawn extends GateLoopInputs {
  readonly logDecay: Tensor
  readonly beta: Tensor
}

function drawn(seed: number, K: number, V: number): Drawn {
  const rng = new Rng(seed)
  const of = (...shape: number[]): Tensor => normal(rng, shape, 1)
  const [logDecay, beta] = [neg(softplus(of(B, T, H))), mul(of(B, T, H), 2)]
  return {
    q: of(B, T, H, K),
    k: of(B, T, H, K),
    v: of(B, T, H, V),
    logDecay,
    beta,
    transition: { logDecay, turn: { cos: cos(beta), sin: sin(beta) } },
    state: { re: zeros([B, H, K, V]), im: zeros([B, H, K, V]) },
  }
}

type Reader = (i: number) => number

/** y_t = Σ_{s ≤ t} (q_t·k_s) Re(Π_{s < j ≤ t} a_j) v_s, in float64. */
async function surrogate({ q, k, v, logDecay, beta }: Drawn): Promise<Float64Array> {
  const [K, V] = [q.shape[3] as number, v.shape[3] as number]
  const [qs, ks, vs, logs, betas] = (await Promise.all([q, k, v, logDecay, beta].map(read))).map(
    (values) => (i: number) => values[i] as number,
  ) as [Reader, Reader, Reader, Reader, Reader]
  const y = new Float64Array(B * T * H * V)
  for (let n = 0; n < B * H; n++) {
    const token = (t: number): number => (Math.floor(n / H) * T + t) * H + (n % H)
    for (let t = 0; t < T; t++) {
      let [log, angle] = [0, 0]
      for (let s = t; s >= 0; s--) {
        let score = 0
        for (let i = 0; i < K; i++) score += qs(token(t) * K + i) * ks(token(s) * K + i)
        for (let j = 0; j < V; j++) {
          const at = token(t) * V + j
          y[at] = (y[at] as number) + score * Math.exp(log) * Math.cos(angle) * vs(token(s) * V + j)
        }
        log += logs(token(s))
        angle += betas(token(s))
      }
    }
  }
  return y
}

describe('gate loop', () => {
  test('q = k = 1, a = i / 2, v = 1, 0, 0, 0: y = 1, 0, −1/4, 0', async () => {
    await within(async () => {
      const all = ones([1, 4, 1, 1])
      const v = tensor([1, 0, 0, 0], [1, 4, 1, 1])
      const turn = { cos: zeros([1, 4, 1]), sin: ones([1, 4, 1]) }
      const transition = { logDecay: fill([1, 4, 1], -Math.LN2), turn }
      const state = { re: zeros([1, 1, 1, 1]), im: zeros([1, 1, 1, 1]) }
      expectClose(await read(gateLoop({ q: all, k: all, v, transition, state }).y), [1, 0, -0.25, 0], 1e-6, 'scan')
      // a second value of 0 takes the other way through
      const wide = { q: all, k: all, v: concat([v, zeros([1, 4, 1, 1])], 3), transition }
      const blank = { re: zeros([1, 1, 1, 2]), im: zeros([1, 1, 1, 2]) }
      const { y } = gateLoop({ ...wide, state: blank })
      expectClose(await read(slice(y, [0, 0, 0, 0], [1, 4, 1, 1])), [1, 0, -0.25, 0], 1e-6, 'attention')
    })
  })

  test.each([
    [4, 3],
    [1, 1],
  ])(
    'keys of width %i, values of %i: the surrogate attention is the recurrence in chunks of any size',
    async (K, V) => {
      await within(async () => {
        const inputs = drawn(1, K, V)
        const expected = await surrogate(inputs)
        for (const chunk of [1, 5, 16, 64]) {
          expectClose(await read(gateLoop(inputs, chunk).y), expected, 1e-5, `chunks of ${chunk}`)
        }
      })
    },
  )

  test('β = 0: gated linear attention, without an imaginary part or with an empty one', async () => {
    await within(async () => {
      for (const [K, V] of [
        [4, 3],
        [1, 1],
      ] as const) {
        const { q, k, v, logDecay, state } = drawn(2, K, V)
        const { o } = gatedLinearAttention({ q, k, v, logDecay: reshape(logDecay, [B, T, H, 1]) }, { scale: 1 })
        const turn = { cos: ones([B, T, H]), sin: zeros([B, T, H]) }
        const turned = gateLoop({ q, k, v, transition: { logDecay, turn }, state })
        expectClose(await read(turned.y), await read(o), 1e-5, 'turned by 0')
        expectClose(await read(turned.state.im as Tensor), new Float32Array(B * H * K * V), 1e-6, 'imaginary part')
        const real = gateLoop({ q, k, v, transition: { logDecay }, state: { re: state.re, im: null } })
        expectClose(await read(real.y), await read(o), 1e-5, 'real')
        const plain = gateLoop({ q, k, v, transition: {}, state: { re: state.re, im: null } })
        const linear = gatedLinearAttention({ q, k, v }, { scale: 1 })
        expectClose(await read(plain.y), await read(linear.o), 1e-5, 'a = 1')
      }
    })
  })

  test('a constant a = γ e^{iθ}: retention, q and k turned by their positions', async () => {
    await within(async () => {
      const { q, k, v, state } = drawn(3, 4, 3)
      const [theta, gamma] = [tensor([0.3, -1.2, 2.5]), tensor([-0.05, -0.3, -0.8])]
      const beta = mul(theta, ones([B, T, H]))
      const transition = { logDecay: mul(gamma, ones([B, T, H])), turn: { cos: cos(beta), sin: sin(beta) } }
      const angle = reshape(cumsum(beta, 1), [B, T, H, 1])
      const rotated = (x: Tensor): Tensor => concat([mul(x, cos(angle)), mul(x, sin(angle))], 3)
      const logDecay = reshape(gamma, [1, 1, H, 1])
      const { o } = gatedLinearAttention({ q: rotated(q), k: rotated(k), v, logDecay }, { scale: 1 })
      expectClose(await read(gateLoop({ q, k, v, transition, state }).y), await read(o), 1e-5, 'outputs')
    })
  })

  test('|a| ≤ 1: the memory is bounded by the sum of what was written, however far it is turned', async () => {
    await within(async () => {
      const { q, k, v, beta, state } = drawn(4, 1, 1)
      const transition = { turn: { cos: cos(beta), sin: sin(beta) } }
      const { re, im } = gateLoop({ q, k, v, transition, state }).state
      const [bound, res, ims] = [await read(sum(abs(mul(k, v)), 1)), await read(re), await read(im as Tensor)]
      for (const [i, most] of bound.entries()) {
        expect(Math.hypot(res[i] as number, ims[i] as number)).toBeLessThanOrEqual(most * (1 + 1e-5))
      }
    })
  })

  test('a memory that only turns keeps its size over 10,000 tokens', async () => {
    await within(async () => {
      const length = 10_000
      const nothing = zeros([1, length, 1, 2])
      const beta = normal(new Rng(5), [1, length, 1], 2)
      const state = { re: fill([1, 1, 2, 2], 3), im: fill([1, 1, 2, 2], 4) }
      const transition = { turn: { cos: cos(beta), sin: sin(beta) } }
      const { re, im } = gateLoop({ q: nothing, k: nothing, v: nothing, transition, state }).state
      const [res, ims] = [await read(re), await read(im as Tensor)]
      const sizes = res.map((value, i) => Math.hypot(value, ims[i] as number))
      expectClose(sizes, [5, 5, 5, 5], 1e-3, 'sizes')
    })
  })
})

describe('GateLoop', () => {
  test('real transitions and none are complex ones that are not turned, or not shrunk either', async () => {
    await within(async () => {
      const x = normal(new Rng(6), [2, 9, 4], 1)
      const complex = new GateLoop(options, new Rng(7))
      const real = new GateLoop({ ...options, transition: 'real' }, new Rng(8))
      const none = new GateLoop({ ...options, transition: 'none' }, new Rng(9))
      const weights = await complex.stateDict()
      const rows = (name: string): Float32Array => weights[name]?.values as Float32Array
      // every second row of the gate is β's: emptied here, left out there
      const alphas = rows('aProj.weight').filter((_, i) => Math.floor(i / 4) % 2 === 0)
      const biases = rows('aProj.bias').filter((_, i) => i % 2 === 0)
      const emptied = tensor(Float32Array.from({ length: 4 }, (_, i) => (i % 2 === 0 ? 1 : 0)))
      complex.aProj?.weight.assign(mul(complex.aProj.weight, reshape(emptied, [4, 1])))
      complex.aProj?.bias?.assign(mul(complex.aProj.bias, emptied))
      real.loadStateDict({
        ...weights,
        'aProj.weight': { shape: [2, 4], values: alphas },
        'aProj.bias': { shape: [2], values: biases },
      })
      expectClose(await read(complex.forward(x).y), await read(real.forward(x).y), 1e-5, 'real')
      none.loadStateDict(weights, { strict: false })
      real.aProj?.weight.assign(zeros([2, 4]))
      real.aProj?.bias?.assign(fill([2], 100))
      expectClose(await read(real.forward(x).y), await read(none.forward(x).y), 1e-5, 'none')
      for (const mixer of [complex, real, none]) mixer.dispose()
    })
  })

  test('polar: the size decides what is kept, at least one half, and the angle is the turn', async () => {
    await within(async () => {
      const polar = new GateLoop({ ...options, transition: 'polar' }, new Rng(10))
      const complex = new GateLoop(options, new Rng(10))
      const gate = (mixer: GateLoop, values: number[]): void => {
        mixer.aProj?.weight.assign(zeros([4, 4]))
        mixer.aProj?.bias?.assign(tensor(values))
      }
      gate(polar, [3, 4, 0, -2])
      gate(complex, [5, Math.atan2(4, 3), 2, -Math.PI / 2])
      const x = normal(new Rng(11), [2, 9, 4], 1)
      expectClose(await read(polar.forward(x).y), await read(complex.forward(x).y), 1e-5, 'outputs')
      polar.dispose()
      complex.dispose()
    })
  })

  test('what flows back through the gate is scaled, and nothing else', async () => {
    await within(async () => {
      const x = normal(new Rng(12), [2, 9, 4], 1)
      const gradients = async (gateGradient: number): Promise<Map<string, Float32Array>> => {
        const mixer = new GateLoop({ ...options, gateGradient }, new Rng(13))
        const parameters = [...mixer.namedParameters()]
        const { grads } = valueAndGrads(
          () => sum(mixer.forward(x).y),
          parameters.map(([, v]) => v),
        )
        const entries = parameters.map(async ([path], i) => [path, await read(grads[i] as Tensor)] as const)
        return new Map(await Promise.all(entries))
      }
      const [full, scaled] = [await gradients(1), await gradients(0.9)]
      for (const [path, g] of full) {
        const share = path.startsWith('aProj') ? 0.9 : 1
        expectClose(
          scaled.get(path) as Float32Array,
          g.map((value) => share * value),
          1e-5,
          path,
        )
      }
    })
  })

  test('as wide as the model and without a gate there is no map out', () => {
    const mixer = new GateLoop({ ...options, dInner: 4, nHeads: 4, outputGate: false }, new Rng(14))
    expect(mixer.outProj).toBeNull()
    mixer.dispose()
  })

  test('heads that do not divide the width are refused', () => {
    expect(() => new GateLoop({ ...options, nHeads: 4 }, new Rng(0))).toThrow(/divisor of dInner = 6, got 4/)
  })
})
