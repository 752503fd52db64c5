import { affine, gelu, normal, normalInit, parameter, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import type { Golden } from '@mneme/testing/goldens'
import { describeSegments, StoredSegments } from '@mneme/testing/segment-goldens'
import { add, gather, mul, sigmoid, split, stack, sub, type Tensor, tanh } from '@tensorflow/tfjs-core'
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
class Around extends StoredSegments<CompressiveState> {
  private readonly mixers: CompressiveMemory[]

  constructor(
    golden: Golden,
    private readonly options: Options,
  ) {
    const { dim, depth, heads, seq_len, mem_len, cmem_len, cmem_ratio } = options as Record<string, number>
    super(golden, seq_len as number, { eps: 1e-5, transposed: false })
    const dModel = dim as number
    const sizes = {
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
      const mixer = new CompressiveMemory(sizes, { table }, new Rng(0))
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

  protected initialStates(): CompressiveState[] {
    return this.mixers.map((mixer) => mixer.initialState())
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
  protected segment(ids: Tensor, states: readonly CompressiveState[]): { logits: Tensor; states: CompressiveState[] } {
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
}

describeSegments('compressive-transformer', (golden) => new Around(golden, golden.json('config') as Options), {
  // gradients are cut between segments, so that the convolution has none
  unused: /compress_mem_fn/,
  states: (segments, stored) =>
    new Map(
      stored.flatMap((name): [string, Tensor][] => {
        const [, kind, after] = /^(c?mem)\.after(\d+)$/.exec(name) ?? []
        const layers = segments[Number(after)]?.map((s) => (kind === 'mem' ? s.memory : s.compressed)) ?? []
        // before anything was remembered there is nothing
        return layers.some((layer) => layer !== null) ? [[name, stack(layers as Tensor[])]] : []
      }),
    ),
})
