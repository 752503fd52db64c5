import { geluTanh, normalInit, Rng, softmaxAttention } from '@mneme/core-tensor'
import { describeMemory } from '@mneme/testing'
import type { Golden } from '@mneme/testing/goldens'
import { describeSegments, StoredSegments } from '@mneme/testing/segment-goldens'
import { span } from '@mneme/testing/subject'
import {
  add,
  concat,
  expandDims,
  gather,
  matMul,
  reshape,
  slice,
  split,
  type Tensor,
  tile,
} from '@tensorflow/tfjs-core'
import { AssociativeMemory, type AssociativeState } from './associative-memory.js'

const D = 5
const variants = { 'three rolls': [3, true], 'one roll, no correction': [1, false] } as const

for (const [name, [rolls, correction]] of Object.entries(variants)) {
  describeMemory(`AssociativeMemory: ${name}`, {
    make: (seed) =>
      new AssociativeMemory({ dModel: D, dKey: 3, rolls, correction, valueInit: normalInit(0.5) }, new Rng(seed)),
    dModel: D,
    entry: (h) => ({ h }),
  })
}

interface Config {
  readonly base: {
    readonly n_embd: number
    readonly n_layer: number
    readonly n_head: number
    readonly n_positions: number
    readonly layer_norm_epsilon: number
  }
  readonly num_mem_tokens: number
  readonly d_mem: number
  readonly nu: number
  readonly correction: boolean
  readonly segment_size: number
  readonly wrap_pos: boolean
}

const PREFIX = 'memory_cell.model.transformer.'

/** The GPT-2 that the authors put the memory around, segment by segment. */
class Around extends StoredSegments<AssociativeState> {
  private readonly memories: AssociativeMemory[]

  constructor(
    golden: Golden,
    private readonly config: Config,
  ) {
    const { base, d_mem, nu, correction } = config
    super(golden, config.segment_size, { eps: base.layer_norm_epsilon, transposed: true, prefix: PREFIX })
    this.memories = Array.from({ length: base.n_layer }, (_, i) => {
      const memory = new AssociativeMemory({ dModel: base.n_embd, dKey: d_mem, rolls: nu, correction }, new Rng(0))
      for (const [name, projection] of [
        ['W_mq', memory.qProj],
        ['W_mk', memory.kProj],
        ['W_mv', memory.vProj],
        ['W_mb', memory.bProj],
      ] as const) {
        Object.assign(projection, { weight: this.weight(`h.${i}.${name}.weight`) })
      }
      Object.assign(memory.bProj, { bias: this.weight(`h.${i}.W_mb.bias`) })
      return memory
    })
  }

  protected initialStates(batch: number): AssociativeState[] {
    return this.memories.map((memory) => memory.initialState(batch))
  }

  private layer(x: Tensor, name: string): Tensor {
    const H = this.config.base.n_head
    const [B, T, D] = x.shape as [number, number, number]
    const [q, k, v] = split(this.linear(this.norm(x, `${name}.ln_1`), `${name}.attn.c_attn`), 3, 2).map((part) =>
      reshape(part, [B, T, H, D / H]),
    ) as [Tensor, Tensor, Tensor]
    const { o } = softmaxAttention({ q, k, v })
    const h = add(x, this.linear(reshape(o, [B, T, D]), `${name}.attn.c_proj`))
    const inner = geluTanh(this.linear(this.norm(h, `${name}.ln_2`), `${name}.mlp.c_fc`))
    return add(h, this.linear(inner, `${name}.mlp.c_proj`))
  }

  protected segment(ids: Tensor, states: readonly AssociativeState[]): { logits: Tensor; states: AssociativeState[] } {
    const { base, num_mem_tokens: M, wrap_pos: wrap } = this.config
    const [B, L] = ids.shape as [number, number]
    const table = this.weight('wpe.weight')
    const places = (from: number, size: number): Tensor => slice(table, [from, 0], [size, base.n_embd])
    const tokens = gather(this.weight('wte.weight'), ids)
    const memory = tile(expandDims(this.weight('memory_cell.memory'), 0), [B, 1, 1])
    const positions = concat([places(0, L), places(wrap ? (table.shape[0] as number) - M : L, M)], 0)
    let x: Tensor = add(concat([tokens, memory], 1), positions)
    const after = this.memories.map((store, i) => {
      const before = states[i] as AssociativeState
      x = this.layer(add(x, store.read(before, x).y), `h.${i}.layer`)
      return store.write(before, { h: span(x, L, M) })
    })
    const out = reshape(this.norm(span(x, 0, L), 'ln_f'), [B * L, base.n_embd])
    return { logits: reshape(matMul(out, this.weight('wte.weight'), false, true), [B, L, -1]), states: after }
  }
}

describeSegments('armt-', (golden) => new Around(golden, golden.json('config') as unknown as Config), {
  prefix: PREFIX,
  states: (segments) =>
    new Map(
      segments.flatMap((layers, s) =>
        layers.flatMap(({ memory, normaliser }, l): [string, Tensor][] => [
          [`W_mem.segment${s}.layer${l}`, memory],
          [`z.segment${s}.layer${l}`, normaliser],
        ]),
      ),
    ),
})
