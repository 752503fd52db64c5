import { add, clone, mul, neg, reverse, sub, sum, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { defineOp, type Op, type OpSheet } from '../op.js'
import { delayed, shifted, startingWith, tokenAt } from './along-time.js'

interface Inputs {
  /** Real and imaginary part of the factor: for every token, or one for all of them. */
  readonly ar: Tensor
  readonly ai: Tensor
  readonly br: Tensor
  readonly bi: Tensor
  readonly h0r?: Tensor
  readonly h0i?: Tensor
}

interface Attrs {
  /** Run from the last token to the first. */
  readonly reverse: boolean
}

interface Outputs {
  readonly hr: Tensor
  readonly hi: Tensor
}

type Complex = readonly [re: Tensor, im: Tensor]

const product = ([ar, ai]: Complex, [br, bi]: Complex): Complex => [
  sub(mul(ar, br), mul(ai, bi)),
  add(mul(ar, bi), mul(ai, br)),
]
const plus = ([ar, ai]: Complex, [br, bi]: Complex): Complex => [add(ar, br), add(ai, bi)]
const conjugate = ([re, im]: Complex): Complex => [re, neg(im)]
const both = ([re, im]: Complex, f: (x: Tensor) => Tensor): Complex => [f(re), f(im)]
const constant = (x: Tensor): boolean => x.rank === 1
/** The factor of one token. */
const factorAt = (a: Complex, t: number): Complex => both(a, (x) => (constant(x) ? x : tokenAt(x, t)))

function startOf({ br, h0r, h0i }: Inputs): Complex {
  const [B, , D] = br.shape as [number, number, number]
  return [h0r ?? zeros([B, D]), h0i ?? zeros([B, D])]
}

/** Doubling steps, as those of the real scan; a constant factor is squared once a round. */
function reference(inputs: Inputs, { reverse: backwards }: Attrs): Outputs {
  const turned = (x: Tensor): Tensor => (backwards && !constant(x) ? reverse(x, 1) : x)
  const T = inputs.br.shape[1] as number
  const start = startOf(inputs)
  let decay: Complex = both([inputs.ar, inputs.ai], turned)
  let h: Complex = both([inputs.br, inputs.bi], turned)
  if (inputs.h0r !== undefined || inputs.h0i !== undefined) {
    const [re, im] = product(factorAt(decay, 0), start)
    h = [startingWith(h[0], re), startingWith(h[1], im)]
  }
  for (let span = 1; span < T; span *= 2) {
    h = plus(
      h,
      product(
        decay,
        both(h, (x) => delayed(x, span)),
      ),
    )
    if (2 * span < T)
      decay = product(
        decay,
        both(decay, (x) => (constant(x) ? x : delayed(x, span))),
      )
  }
  const [hr, hi] = both(h, (x) => clone(turned(x)))
  return { hr, hi }
}

/**
 * First-order linear recurrence over complex numbers, elementwise over channels: `h_t = a_t h_{t-1} + b_t`.
 *
 * b = br + i bi `[B, T, D]`; a = ar + i ai `[B, T, D]`, or `[D]` where it is the same for every token, usually of modulus
 * at most 1; h0 `[B, D]`, zero if absent, each part on its own; returns h = hr + i hi `[B, T, D]`, of which the last token
 * (the first, in reverse) is the final state. Gradients are those by real and imaginary parts. Time O(B T D) in one pass
 * with a kernel, O(B T D log T) by the reference.
 * Source: Orvieto et al. 2023, arXiv:2303.06349, section 3; Katsch 2023, arXiv:2311.01927, section 3.
 */
export const complexLinearScan: Op<Inputs, Attrs, Outputs> = defineOp({
  name: 'complexLinearScan',
  inputs: { ar: 'B T D | D', ai: 'B T D | D', br: 'B T D', bi: 'B T D', h0r: '?B D', h0i: '?B D' },
  outputs: { hr: 'B T D', hi: 'B T D' },
  attrs: { reverse: false },
  reference,
  gradient(dys, inputs, { hr, hi }, { reverse: backwards }) {
    const a: Complex = [inputs.ar, inputs.ai]
    const [B, T, D] = inputs.br.shape as [number, number, number]
    // the cotangent runs the other way, turned back by the a of the token it has just left
    const [ar, ai] = conjugate(both(a, (x) => (constant(x) ? x : shifted(x, zeros([B, D]), !backwards))))
    const scanned = complexLinearScan({ ar, ai, br: dys.hr, bi: dys.hi }, { reverse: !backwards })
    const g: Complex = [scanned.hr, scanned.hi]
    const start = startOf(inputs)
    const before: Complex = [shifted(hr, start[0], backwards), shifted(hi, start[1], backwards)]
    const da = product(g, conjugate(before))
    const first = backwards ? T - 1 : 0
    const [h0r, h0i] = product(
      conjugate(factorAt(a, first)),
      both(g, (x) => tokenAt(x, first)),
    )
    return {
      ar: constant(inputs.ar) ? sum(da[0], [0, 1]) : da[0],
      ai: constant(inputs.ai) ? sum(da[1], [0, 1]) : da[1],
      br: clone(g[0]),
      bi: clone(g[1]),
      ...(inputs.h0r && { h0r }),
      ...(inputs.h0i && { h0i }),
    }
  },
})

/** What the laws, the self-test and the bench go by. */
export const complexLinearScanSheet: OpSheet<Inputs, Attrs> = {
  equation: 'h_t = a_t \\odot h_{t-1} + b_t, \\quad a_t, b_t, h_t \\in \\mathbb{C}',
  // both parts in (0, 0.7) keep the modulus below 1
  draw: { ar: 'half', ai: 'half' },
  cost: ({ B = 1, T = 1, D = 1 }) => ({ flops: 8 * B * T * D, bytes: 24 * B * T * D, passes: 1 }),
  examples: [
    { dims: { B: 2, T: 1, D: 3 } },
    { dims: { B: 2, T: 2, D: 4 }, forms: { ar: 'D', ai: 'D' } },
    { dims: { B: 1, T: 63, D: 5 }, omit: ['h0r', 'h0i'] },
    { dims: { B: 2, T: 64, D: 8 }, attrs: { reverse: true }, omit: ['h0i'] },
    { dims: { B: 3, T: 65, D: 7 }, attrs: { reverse: true }, omit: ['h0r', 'h0i'], forms: { ar: 'D', ai: 'D' } },
    { dims: { B: 2, T: 9, D: 5 }, forms: { ai: 'D' } },
    { dims: { B: 1, T: 1000, D: 9 }, forms: { ar: 'D', ai: 'D' } },
    { dims: { B: 8, T: 1024, D: 128 } },
  ],
}
