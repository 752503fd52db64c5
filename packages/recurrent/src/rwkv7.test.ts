import { deltaRule, gatedLinearAttention, normal, Rng, unitLength } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { eye, fill, mul, ones, reshape, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { Rwkv7TimeMix } from './rwkv7.js'

const [B, T, D, H] = [2, 13, 8, 2]
const heads = (y: Tensor): Tensor => reshape(y, [B, T, H, D / H])
const set = (variable: Variable, value: number): void => variable.assign(fill(variable.shape, value))

/** Sees no token but its own and has no bonus; what decay and rate are made of is the same for every token. */
function make({ decay, rate }: { readonly decay: number; readonly rate: number }): Rwkv7TimeMix {
  const ranks = { w: 3, a: 2, v: 2, g: 4 }
  const sizes = { dModel: D, nHeads: H, dValue: D, ranks, layer: 0, nLayers: 3 }
  const mixer = new Rwkv7TimeMix({ ...sizes, normEps: 1e-5, chunk: 4 }, new Rng(1))
  const { xr, xw, xk, xv, xa, xg, rk } = mixer
  for (const variable of [xr, xw, xk, xv, xa, xg, rk, mixer.decay.up.weight, mixer.rate.up.weight]) set(variable, 0)
  set(mixer.decay.up.bias as Variable, decay)
  set(mixer.rate.up.bias as Variable, rate)
  return mixer
}

/** The layer's output from what its heads have read. */
function output(mixer: Rwkv7TimeMix, o: Tensor, x: Tensor): Tensor {
  return mixer.oProj.forward(mul(mixer.gNorm.forward(reshape(o, [B, T, D])), mixer.gate.forward(x)))
}

describe('RWKV-7', () => {
  test('with rates of 0 is gated linear attention: a decay a channel, and nothing corrected', async () => {
    await within(async () => {
      const mixer = make({ decay: 0.3, rate: -60 })
      set(mixer.ka, 0)
      const x = normal(new Rng(2), [B, T, D], 1)
      const { o, state } = gatedLinearAttention(
        {
          q: heads(mixer.rProj.forward(x)),
          k: heads(mixer.kProj.forward(x)),
          v: heads(mixer.vProj.forward(x)),
          logDecay: fill([1, 1, H, D / H], -Math.exp(-0.5) / (1 + Math.exp(-0.3))),
        },
        { scale: 1 },
      )
      const mixed = mixer.forward(x)
      expectClose(await read(mixed.state.memory), await read(state), 1e-5, 'memory')
      expectClose(await read(mixed.y), await read(output(mixer, o, x)), 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('with rates of 1, no decay and keys of length 1 is the delta rule with β = 1', async () => {
    await within(async () => {
      const mixer = make({ decay: -60, rate: 60 })
      set(mixer.kk, 1)
      mixer.kProj.weight.assign(eye(D))
      const x = reshape(unitLength(heads(normal(new Rng(3), [B, T, D], 1))), [B, T, D])
      const [q, k, v] = [heads(mixer.rProj.forward(x)), heads(x), heads(mixer.vProj.forward(x))]
      const { o, state } = deltaRule({ q, k, v, beta: ones([B, T, H]) }, { scale: 1 })
      const mixed = mixer.forward(x)
      expectClose(await read(mixed.state.memory), await read(state), 1e-5, 'memory')
      expectClose(await read(mixed.y), await read(output(mixer, o, x)), 1e-5, 'outputs')
      mixer.dispose()
    })
  })
})
