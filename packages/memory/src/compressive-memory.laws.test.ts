import { affine, gelu, layerNorm, normal, normalInit, parameter, Rng, valueAndGrads } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { type Golden, type GoldenTensor, goldens, nextTokenLoss, toTensor } from '@mneme/testing/goldens'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import {
  add,
  concat,
  gather,
  mul,
  reshape,
  sigmoid,
  split,
  stack,
  sub,
  type Tensor,
  tanh,
  type Variable,
} from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { CompressiveMemory, type CompressiveMemoryOptions, type CompressiveState } from './compressive-memory.js'

const [D, H, K] = [6, 2, 3]
const base: CompressiveMemoryOptions = {
  dModel: D,
  nHeads: H,
  dHead: K,
  segment: 4,
  memory: 4,
  compressed: 3,
  rate: 2,
  compression: 'mean',
  cut: true,
  projection: { bias: false, init: normalInit(0.5) },
}
const variants: Readonly<Record<string, Partial<CompressiveMemoryOptions> & { readonly table?: boolean }>> = {
  'mean of pairs, sines': {},
  'maxima, rate that does not divide, table': { compression: 'max', rate: 3, memory: 5, table: true },
  'convolution, gradients through all segments': { compression: 'conv', cut: false, segment: 3, memory: 2, rate: 2 },
  'convolution and table, no plain memory': { compression: 'conv', cut: false, segment: 2, memory: 0, table: true },
  'no slots': { compressed: 0 },
}

for (const [name, { table, ...variant }] of Object.entries(variants)) {
  describeMixer(
    `CompressiveMemory: ${name}`,
    (seed) => {
      const rng = new Rng(seed)
      const options = { ...base, ...variant }
      const rows = options.segment + options.memory + options.compressed
      const drawn = (shape: number[]) => parameter(normal(rng, shape, 0.5))
      const positions = table ? { table: drawn([H, rows, K]) } : { content: drawn([H, K]), position: drawn([H, K]) }
      return new CompressiveMemory(options, positions, rng)
    },
    D,
  )
}

type Options = Readonly<Record<string, number | boolean | readonly number[] | undefined>>

/** What the authors' re-implementation puts around its attention, with the mechanism inside. */
class Around {
  readonly weights = new Map<string, Variable>()
  readonly mixers: CompressiveMemory[]
  private readonly options: Options

  constructor(golden: Golden) {
    this.options = golden.json('config') as Options
    const { dim, depth, heads, seq_len, mem_len, cmem_len, cmem_ratio } = this.options as Record<string, number>
    for (const [name, value] of golden.read('weights')) this.weights.set(name, parameter(toTensor(value)))
    const dModel = dim as number
    const options = {
      dModel,
      nHeads: heads ?? 8,
      dHead: dModel / (heads ?? 8),
      segment: seq_len as number,
      memory: mem_len ?? (seq_len as number),
      compressed: cmem_len ?? Math.floor((mem_len ?? (seq_len as number)) / (cmem_ratio ?? 4)),
      rate: cmem_ratio ?? 4,
      compression: 'conv',
      cut: true,
      outputBias: true,
    } as const
    const table = this.weight('pos_emb')
    this.mixers = Array.from({ length: depth as number }, (_, i) => {
      const mixer = new CompressiveMemory(options, { table }, new Rng(0))
      const own = `attn_layers.${i}.fn.fn.`
      const fields = {
        'to_q.weight': [mixer.qProj, 'weight'],
        'to_kv.weight': [mixer.kvProj, 'weight'],
        'to_out.weight': [mixer.oProj, 'weight'],
        'to_out.bias': [mixer.oProj, 'bias'],
        'compress_mem_fn.conv.weight': [mixer, 'convWeight'],
        'compress_mem_fn.conv.bias': [mixer, 'convBias'],
      } as const
      for (const [name, [owner, field]] of Object.entries(fields)) {
        Object.assign(owner, { [field]: this.weight(own + name) })
      }
      return mixer
    })
  }

  weight(name: string): Variable {
    const found = this.weights.get(name)
    if (found === undefined) throw new Error(`golden: expected weights '${name}', got none.`)
    return found
  }

  private linear(x: Tensor, name: string): Tensor {
    return affine({ x, weight: this.weight(`${name}.weight`), bias: this.weight(`${name}.bias`) }).y
  }

  private norm(x: Tensor, name: string): Tensor {
    return layerNorm({ x, weight: this.weight(`${name}.weight`), bias: this.weight(`${name}.bias`) }, { eps: 1e-5 }).y
  }

  private join(x: Tensor, branch: Tensor, layer: string): Tensor {
    if (this.options.gru_gated_residual === false) return add(x, branch)
    const side = (input: Tensor, kind: string): [Tensor, Tensor, Tensor] => {
      const [weight, bias] = [this.weight(`${layer}.gru.weight_${kind}`), this.weight(`${layer}.gru.bias_${kind}`)]
      return split(affine({ x: input, weight, bias }).y, 3, 2) as [Tensor, Tensor, Tensor]
    }
    const [ri, zi, ni] = side(branch, 'ih')
    const [rh, zh, nh] = side(x, 'hh')
    const n = tanh(add(ni, mul(sigmoid(add(ri, rh)), nh)))
    return add(n, mul(sigmoid(add(zi, zh)), sub(x, n)))
  }

  private feedForward(x: Tensor, i: number): Tensor {
    const name = `ff_layers.${i}.fn.fn`
    const inner = this.linear(this.norm(x, `ff_layers.${i}.fn.norm`), `${name}.w1`)
    if (this.options.ff_glu !== true) return this.linear(gelu(inner), `${name}.w2`)
    const [gate, value] = split(inner, 2, 2) as [Tensor, Tensor]
    return this.linear(mul(gelu(gate), value), `${name}.w2`)
  }

  /** Logits and states after one segment; with enhanced recurrence, a layer reads what the next one remembered. */
  segment(ids: Tensor, states: readonly CompressiveState[]): { logits: Tensor; states: CompressiveState[] } {
    const turned = this.options.enhanced_recurrence === false ? states : [...states.slice(1), ...states.slice(0, 1)]
    let x: Tensor = gather(this.weight('token_emb.weight'), ids)
    const after = this.mixers.map((mixer, i) => {
      const { y, state } = mixer.forward(this.norm(x, `attn_layers.${i}.fn.norm`), turned[i])
      x = this.join(x, y, `attn_layers.${i}`)
      x = this.join(x, this.feedForward(x, i), `ff_layers.${i}`)
      return state
    })
    return { logits: this.linear(x, 'to_logits.1'), states: after }
  }

  forward(ids: Tensor): { logits: Tensor; states: CompressiveState[][] } {
    const [L, T] = [this.options.seq_len as number, ids.shape[1] as number]
    let states = this.mixers.map((mixer) => mixer.initialState())
    const logits: Tensor[] = []
    const all: CompressiveState[][] = []
    for (let t = 0; t < T; t += L) {
      const out = this.segment(span(ids, t, Math.min(L, T - t)), states)
      logits.push(out.logits)
      all.push(out.states)
      states = out.states
    }
    return { logits: concat(logits, 1), states: all }
  }
}

for (const golden of goldens()) {
  if (golden.name.startsWith('compressive-transformer')) describeGolden(golden)
}

function describeGolden(golden: Golden): void {
  describe(`golden ${golden.name}`, () => {
    const expected = golden.read('expected')
    const value = (name: string): GoldenTensor => expected.get(name) as GoldenTensor

    test('logits, and both memories where they are stored', async () => {
      await within(async () => {
        const { logits, states } = new Around(golden).forward(toTensor(value('input_ids')))
        expectClose(await read(logits), value('logits').values, tolerances.forward(), 'logits')
        let compared = 0
        for (const name of expected.keys()) {
          const found = /^(c?mem)\.after(\d+)$/.exec(name)
          if (found === null || value(name).values.length === 0) continue
          const layers = states[Number(found[2])]?.map((s) => (found[1] === 'mem' ? s.memory : s.compressed))
          expectClose(await read(stack(layers as Tensor[])), value(name).values, tolerances.forward(), name)
          compared++
        }
        expect(compared).toBeGreaterThan(0)
      })
    })

    test('loss and gradients, cut between segments', async () => {
      await within(async () => {
        const model = new Around(golden)
        const ids = toTensor(value('input_ids'))
        const names = [...model.weights.keys()]
        const loss = (): Tensor => nextTokenLoss(model.forward(ids).logits, ids)
        const { value: total, grads } = valueAndGrads(loss, [...model.weights.values()])
        expectClose(await read(reshape(total, [1])), value('loss').values, 1e-5, 'loss')
        const stored = golden.read('grads')
        for (const [i, name] of names.entries()) {
          const g = grads[i]
          if (stored.has(name) && g)
            expectClose(await read(g), stored.get(name)?.values as Float32Array, tolerances.gradient(), name)
          else expect(name).toMatch(/compress_mem_fn/)
        }
      })
    })
  })
}
