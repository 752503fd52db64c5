import { deltaRule, gatedLinearAttention, Rng, softmaxAttention, uniform, unitLength, vjp } from '@mneme/core-tensor'
import { engine, log, ones, type Tensor, tidy } from '@tensorflow/tfjs-core'
import { type Timing, timed } from './measure.js'

export interface LengthRow {
  readonly op: string
  readonly length: number
  readonly forward: Timing
  readonly both: Timing
  /** Most bytes of tensors at a time in forward with backward, beyond those of the inputs. */
  readonly peakMB: number
}

const [H, K, V] = [4, 32, 32]

const ops: Readonly<Record<string, (x: Inputs) => Tensor>> = {
  softmaxAttention: ({ q, k, v }) => softmaxAttention({ q, k, v }, { causal: true }).o,
  gatedLinearAttention: ({ q, k, v, logDecay }) => gatedLinearAttention({ q, k, v, logDecay }).o,
  deltaRule: ({ q, k, v, beta }) => deltaRule({ q, k, v, beta }).o,
}

type Inputs = Readonly<Record<'q' | 'k' | 'v' | 'logDecay' | 'beta', Tensor>>

/** Attention, linear attention and the delta rule over ever longer sequences: one row, four heads, 32 wide. */
export async function benchLengths(lengths: readonly number[]): Promise<LengthRow[]> {
  const rows: LengthRow[] = []
  for (const [op, run] of Object.entries(ops)) {
    for (const T of lengths) rows.push(await row(op, run, T))
  }
  return rows
}

async function row(op: string, run: (x: Inputs) => Tensor, T: number): Promise<LengthRow> {
  const inputs = drawn(T)
  const by = [inputs.q, inputs.k, inputs.v]
  const cotangent = ones([1, T, H, V])
  const settled = async (results: readonly Tensor[]): Promise<void> => {
    await (results[0] as Tensor).data()
    for (const t of results) t.dispose()
  }
  const both = (): Promise<void> => settled(tidy(() => vjp(() => [run(inputs)], by, [cotangent])))
  const result = {
    op,
    length: T,
    forward: await timed(() => settled([tidy(() => run(inputs))])),
    both: await timed(both),
    peakMB: peakBytes(() => tidy(() => vjp(() => [run(inputs)], by, [cotangent]))) / 1e6,
  }
  for (const t of [...Object.values(inputs), cotangent]) t.dispose()
  return result
}

function drawn(T: number): Inputs {
  return tidy(() => {
    const rng = new Rng(T)
    const draw = (W: number): Tensor => uniform(rng, [1, T, H, W], -1, 1)
    return {
      q: draw(K),
      k: unitLength(draw(K)),
      v: draw(V),
      logDecay: log(uniform(rng, [1, T, H, 1], 0.9, 1)),
      beta: uniform(rng, [1, T, H], 0, 1),
    }
  })
}

/** Most bytes that tensors take up while `f` runs, beyond those before. tfjs counts them, but keeps no largest count. */
function peakBytes(f: () => readonly Tensor[]): number {
  const { state } = engine()
  const before = state.numBytes
  let [bytes, peak] = [before, before]
  Object.defineProperty(state, 'numBytes', {
    configurable: true,
    get: () => bytes,
    set(count: number) {
      bytes = count
      peak = Math.max(peak, count)
    },
  })
  try {
    for (const t of f()) t.dispose()
  } finally {
    Object.defineProperty(state, 'numBytes', { configurable: true, writable: true, value: bytes })
  }
  return peak - before
}
