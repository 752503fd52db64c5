import type { Golden } from '@mneme/testing/goldens'
import { describeKernels, type Kernel, kernel, type Values } from '@mneme/testing/kernel-goldens'
import { add, concat, expandDims, mul, reshape, slice, type Tensor, tensor, transpose } from '@tensorflow/tfjs-core'
import { silu } from './nn/activations.js'
import { complexLinearScan } from './ops/complex-linear-scan.js'
import { deltaRule } from './ops/delta-rule.js'
import { dplrDeltaRule } from './ops/dplr-delta-rule.js'
import { type GatedLinearAttentionInputs, gatedLinearAttention } from './ops/gated-linear-attention.js'
import { linearScan } from './ops/linear-scan.js'
import { mlstm } from './ops/mlstm.js'
import { normalisedLinearAttention } from './ops/normalised-linear-attention.js'
import { selectiveScan } from './ops/selective-scan.js'
import { shortConv } from './ops/short-conv.js'
import { slstm } from './ops/slstm.js'
import { softmaxAttention } from './ops/softmax-attention.js'
import { wkv4 } from './ops/wkv4.js'

const attention = (window: (golden: Golden) => number): Kernel =>
  kernel(['q', 'k', 'v'], (inputs, golden) => softmaxAttention(inputs, { window: window(golden) }))

const forgetting = (window: (golden: Golden) => number): Kernel =>
  kernel(['q', 'k', 'v', 'g'], ({ g, ...inputs }, golden) =>
    softmaxAttention({ ...inputs, logForget: g }, { window: window(golden) }),
  )

/** The layout says `window 7` or `window_size=7`. */
const windowOf = (golden: Golden): number =>
  Number(/window(?: |_size=)(\d+)/.exec(String(golden.json('meta').layout))?.[1])

/** `[B, D, T]` to `[B, T, D]` and back. */
const timeMajor = (x: Tensor): Tensor => transpose(x, [0, 2, 1])
const gated = (
  { h0, ...inputs }: Omit<GatedLinearAttentionInputs, 'state'> & { readonly h0: Tensor },
  scale = 0,
): Values<string> => {
  const { o, state } = gatedLinearAttention({ ...inputs, state: h0 }, { chunk: 16, scale })
  return { o, final_state: state }
}

const kernels: Readonly<Record<string, Kernel>> = {
  'kernel-linear-recurrence': kernel(['a', 'b', 'h0'], (inputs) => linearScan(inputs)),
  'kernel-complex-linear-recurrence': kernel(['ar', 'ai', 'br', 'bi'], (inputs) => {
    const { hr, hi } = complexLinearScan(inputs)
    return { h_re: hr, h_im: hi }
  }),
  'kernel-selective-scan': kernel(
    ['u', 'delta', 'A', 'B', 'C', 'D', 'z', 'delta_bias'],
    ({ u, delta, A, B, C, D, z, delta_bias }) => {
      const sequences = { u: timeMajor(u), delta: timeMajor(delta), Bt: timeMajor(B), C: timeMajor(C), z: timeMajor(z) }
      const { y, state } = selectiveScan({ ...sequences, A, skip: D, deltaBias: delta_bias })
      return { y: timeMajor(y), last_state: state }
    },
  ),
  'kernel-wkv4': kernel(
    ['k', 'v', 'time_decay', 'time_first', 'num0', 'den0', 'max0'],
    ({ k, v, time_decay, time_first, num0, den0, max0 }) => ({
      ...wkv4({ k, v, timeDecay: time_decay, timeFirst: time_first, num: num0, den: den0, max: max0 }),
    }),
  ),
  'kernel-slstm': kernel(['z', 'i', 'f', 'o', 'R_z', 'R_i', 'R_f', 'R_o'], ({ z, i, f, o, R_z, R_i, R_f, R_o }) => {
    const [B, T, H, K] = z.shape as [number, number, number, number]
    // theirs are applied from the right
    const weight = concat(
      [R_i, R_f, R_z, R_o].map((part) => transpose(part, [0, 2, 1])),
      1,
    )
    const projected = concat(
      [i, f, z, o].map((part) => reshape(part, [B, T, H * K])),
      2,
    )
    const { h, ...state } = slstm({ projected, weight })
    const last = (x: Tensor): Tensor => reshape(slice(x, [0, T - 1, 0], [B, 1, H * K]), [B, H, K])
    return { h: reshape(h, [B, T, H, K]), c: last(state.c), n: last(state.n), m: last(state.m) }
  }),
  'kernel-delta-rule': kernel(['q', 'k', 'v', 'beta', 'h0'], ({ h0, ...inputs }) => {
    const { o, state } = deltaRule({ ...inputs, state: h0 }, { chunk: 16 })
    return { o, final_state: state }
  }),
  'kernel-gated-delta-rule': kernel(['q', 'k', 'v', 'beta', 'g', 'h0'], ({ g, h0, ...inputs }) => {
    const { o, state } = deltaRule({ ...inputs, logDecay: g, state: h0 }, { chunk: 16 })
    return { o, final_state: state }
  }),
  'kernel-wkv7': kernel(['r', 'w', 'k', 'v', 'a', 'b', 'S0'], ({ r, w, S0, ...inputs }) => {
    const { o, state } = dplrDeltaRule({ ...inputs, q: r, logDecay: w, state: S0 }, { chunk: 16, scale: 1 })
    return { o, final_state: state }
  }),
  'kernel-gla': kernel(['q', 'k', 'v', 'gk', 'h0'], ({ gk, ...inputs }) => gated({ ...inputs, logDecay: gk })),
  'kernel-simple-gla': kernel(['q', 'k', 'v', 'g', 'h0'], ({ g, ...inputs }) =>
    gated({ ...inputs, logDecay: expandDims(g, 3) }),
  ),
  'kernel-retention': kernel(['q', 'k', 'v', 'h0'], (inputs) => {
    const H = inputs.v.shape[2] as number
    const gammas = Array.from({ length: H }, (_, h) => Math.log1p(-(2 ** (-5 - h))))
    return gated({ ...inputs, logDecay: tensor(gammas, [1, 1, H, 1]) })
  }),
  'kernel-wkv5': kernel(['q', 'k', 'v', 'w', 'u', 'h0'], ({ w, u, ...inputs }) =>
    gated({ ...inputs, bonus: u, logDecay: reshape(w, [1, 1, ...w.shape]) }, 1),
  ),
  'kernel-wkv6': kernel(['q', 'k', 'v', 'w', 'u', 'h0'], ({ w, u, ...inputs }) =>
    gated({ ...inputs, bonus: u, logDecay: w }, 1),
  ),
  'kernel-ssd': kernel(['x', 'dt', 'A', 'B', 'C', 'D', 'h0'], ({ x, dt, A, B, C, D, h0 }) => {
    const turned = [0, 1, 3, 2]
    const v = mul(x, expandDims(dt, 3))
    const logDecay = expandDims(mul(dt, A), 3)
    const { o, state } = gatedLinearAttention({ q: C, k: B, v, logDecay, state: transpose(h0, turned) }, { scale: 1 })
    return { y: add(o, mul(x, expandDims(D, 1))), final_state: transpose(state, turned) }
  }),
  'kernel-linear-attention-normalized': kernel(['q', 'k', 'v', 'S0', 'z0'], ({ S0, z0, ...inputs }) => {
    const { o, state, normaliser } = normalisedLinearAttention({ ...inputs, state: S0, normaliser: z0 }, { eps: 1e-10 })
    return { o, S: state, z: normaliser }
  }),
  'kernel-mlstm': kernel(['q', 'k', 'v', 'i', 'f', 'C0', 'n0', 'm0'], ({ i, f, C0, n0, m0, ...inputs }) => ({
    ...mlstm({ ...inputs, inputGate: i, forgetGate: f, C: C0, n: n0, m: m0 }, { chunk: 16 }),
  })),
  'kernel-softmax-attention-causal-gqa': attention(() => 0),
  'kernel-softmax-attention-sliding-window': attention(windowOf),
  'kernel-forgetting-attention': forgetting(() => 0),
  'kernel-forgetting-attention-window': forgetting(windowOf),
  'kernel-causal-depthwise-conv': kernel(['x', 'w', 'b', 'x0'], ({ x, w, b, x0 }) => {
    const { y, tail } = shortConv({ x, weight: w, bias: b, tail: x0 })
    return { y: silu(y), last: tail }
  }),
}

describeKernels(kernels)
