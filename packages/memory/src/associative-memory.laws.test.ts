import {
  affine,
  geluTanh,
  layerNorm,
  normalInit,
  parameter,
  Rng,
  softmaxAttention,
  valueAndGrads,
} from '@mneme/core-tensor'
import { describeMemory } from '@mneme/testing'
import { type Golden, type GoldenTensor, goldens, nextTokenLoss, toTensor } from '@mneme/testing/goldens'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
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
  transpose,
  type Variable,
} from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
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

/** The GPT-2 that the authors put the memory around, segment by segment. */
class Around {
  readonly weights = new Map<string, Variable>()
  readonly memories: AssociativeMemory[]
  private readonly config: Config

  constructor(golden: Golden) {
    this.config = golden.json('config') as unknown as Config
    const { base, d_mem, nu, correction } = this.config
    for (const [name, value] of golden.read('weights')) {
      this.weights.set(name.replace('memory_cell.model.transformer.', ''), parameter(toTensor(value)))
    }
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

  weight(name: string): Variable {
    const found = this.weights.get(name)
    if (found === undefined) throw new Error(`golden: expected weights '${name}', got none.`)
    return found
  }

  private norm(x: Tensor, name: string): Tensor {
    const eps = this.config.base.layer_norm_epsilon
    return layerNorm({ x, weight: this.weight(`${name}.weight`), bias: this.weight(`${name}.bias`) }, { eps }).y
  }

  private linear(x: Tensor, name: string): Tensor {
    return affine({ x, weight: transpose(this.weight(`${name}.weight`)), bias: this.weight(`${name}.bias`) }).y
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

  private segment(ids: Tensor, states: readonly AssociativeState[]): { logits: Tensor; states: AssociativeState[] } {
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

  forward(ids: Tensor): { logits: Tensor; states: AssociativeState[][] } {
    const [B, T] = ids.shape as [number, number]
    const L = this.config.segment_size
    let states = this.memories.map((memory) => memory.initialState(B))
    const logits: Tensor[] = []
    const all: AssociativeState[][] = []
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
  if (golden.name.startsWith('armt-')) describeGolden(golden)
}

function describeGolden(golden: Golden): void {
  describe(`golden ${golden.name}`, () => {
    const expected = golden.read('expected')
    const value = (name: string): GoldenTensor => expected.get(name) as GoldenTensor

    test('logits, and memory and normaliser after every segment', async () => {
      await within(async () => {
        const { logits, states } = new Around(golden).forward(toTensor(value('input_ids')))
        expectClose(await read(logits), value('logits').values, tolerances.forward(), 'logits')
        for (const [s, layers] of states.entries()) {
          for (const [l, { memory, normaliser }] of layers.entries()) {
            const place = `segment${s}.layer${l}`
            expectClose(await read(memory), value(`W_mem.${place}`).values, tolerances.forward(), `memory, ${place}`)
            expectClose(await read(normaliser), value(`z.${place}`).values, tolerances.forward(), `z, ${place}`)
          }
        }
      })
    })

    test('loss and gradients of every parameter', async () => {
      await within(async () => {
        const model = new Around(golden)
        const ids = toTensor(value('input_ids'))
        const loss = (): Tensor => nextTokenLoss(model.forward(ids).logits, ids)
        const { value: total, grads } = valueAndGrads(loss, [...model.weights.values()])
        expectClose(await read(reshape(total, [1])), value('loss').values, 1e-5, 'loss')
        const stored = new Map(
          [...golden.read('grads')].map(([name, g]) => [name.replace('memory_cell.model.transformer.', ''), g]),
        )
        for (const [i, name] of [...model.weights.keys()].entries()) {
          const wanted = stored.get(name)?.values as Float32Array
          expectClose(await read(grads[i] as Tensor), wanted, tolerances.gradient(), name)
        }
      })
    })
  })
}
