import {
  crossEntropy,
  Module,
  type NamedTensor,
  parameter,
  RMSNorm,
  type SequenceMixer,
  type State,
  valueAndGrads,
} from '@mneme/core-tensor'
import {
  add,
  cast,
  concat,
  gather,
  matMul,
  mean,
  reshape,
  slice,
  type Tensor,
  transpose,
  unstack,
  type Variable,
  zeros,
} from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { type Golden, type GoldenTensor, goldens, toTensor } from './goldens.js'
import { read, type Sequence, within } from './subject.js'
import { expectClose, tolerances } from './tolerance.js'

type Config = Readonly<Record<string, unknown>>

/** A mixer of which there is a published language model: nothing but residual layers `r += mixer(norm r)`. */
export interface PublishedMixer<S extends State> {
  make(config: Config): SequenceMixer<S>
  /** Our path of each stored name. */
  readonly paths: Readonly<Record<string, string>>
  /** By the stored name of a state: ours and the stored one of the same layer, as values that must agree. */
  readonly states: Readonly<Record<string, (ours: S, stored: Tensor) => readonly [actual: Tensor, expected: Tensor]>>
}

/** Holds a mixer to the golden of a whole model: outputs and states of every layer, single steps, all gradients. */
export function describeStack<S extends State>(name: string, mixer: PublishedMixer<S>): void {
  for (const golden of goldens()) {
    if (golden.name === name) describeGolden(golden, mixer as unknown as PublishedMixer<State>)
  }
}

/** Theirs holds all taps of the convolution, `[B, D, W]`; of these ours keeps the last W − 1, `[B, W − 1, D]`. */
export function lastInputs(stored: Tensor, { shape }: Tensor): Tensor {
  return slice(transpose(stored, [0, 2, 1]), [0, 1, 0], shape as [number, number, number])
}

interface Run {
  /** Outputs of every layer, and of the norm after the last. */
  readonly hidden: readonly Tensor[]
  readonly states: readonly State[]
  readonly logits: Tensor
}

class Stack extends Module {
  readonly embedding: Variable
  readonly norms: RMSNorm[] = []
  readonly mixers: Sequence[] = []
  readonly norm: RMSNorm
  readonly head: Variable

  constructor(config: Config, { make }: PublishedMixer<State>) {
    super()
    const [V, D] = [Number(config.vocab_size), Number(config.hidden_size)]
    const norm = (): RMSNorm => new RMSNorm(D, Number(config.layer_norm_epsilon))
    for (let i = 0; i < Number(config.num_hidden_layers); i++) {
      this.norms.push(norm())
      this.mixers.push(make(config) as unknown as Sequence)
    }
    this.norm = norm()
    this.embedding = parameter(zeros([V, D]))
    this.head = config.tie_word_embeddings === false ? parameter(zeros([V, D])) : this.embedding
  }

  forward(ids: Tensor, before?: readonly State[]): Run {
    let r = gather(this.embedding, cast(ids, 'int32'))
    const hidden: Tensor[] = []
    const states = this.mixers.map((mixer, i) => {
      const { y, state } = mixer.forward((this.norms[i] as RMSNorm).forward(r), before?.[i])
      r = add(r, y)
      hidden.push(r)
      return state
    })
    const last = this.norm.forward(r)
    const [B, T, D] = last.shape as [number, number, number]
    const logits = matMul(reshape(last, [B * T, D]), this.head, false, true)
    return { hidden: [...hidden, last], states, logits: reshape(logits, [B, T, -1]) }
  }
}

function pathOf(name: string, paths: Readonly<Record<string, string>>): string {
  const layer = /^backbone\.layers\.(\d+)\.(norm|mixer)\.(.+)$/.exec(name)
  if (layer !== null) {
    const [, i, part, rest] = layer as unknown as [string, string, string, string]
    return part === 'norm' ? `norms.${i}.${rest}` : `mixers.${i}.${paths[rest] ?? rest}`
  }
  if (name === 'backbone.norm_f.weight') return 'norm.weight'
  return name === 'lm_head.weight' ? 'head' : 'embedding'
}

/** PyTorch gives a depthwise convolution an axis more. */
function squeezed(name: string, { shape, values }: GoldenTensor): NamedTensor {
  return { shape: name.endsWith('conv1d.weight') ? [shape[0] as number, shape[2] as number] : shape, values }
}

function describeGolden(golden: Golden, mixer: PublishedMixer<State>): void {
  const build = (): Stack => {
    const stack = new Stack(golden.json('config'), mixer)
    const named = [...golden.read('model')].map(([name, stored]) => [pathOf(name, mixer.paths), squeezed(name, stored)])
    stack.loadStateDict(Object.fromEntries(named) as Record<string, NamedTensor>)
    return stack
  }

  describe(`golden ${golden.name}`, () => {
    const expected = golden.read('expected')
    const value = (name: string): GoldenTensor => expected.get(name) as GoldenTensor
    const ids = (): Tensor => toTensor(value('input_ids'))

    test('outputs of every layer and the states at the end', async () => {
      await within(async () => {
        const stack = build()
        const { hidden, states, logits } = stack.forward(ids())
        for (const [i, h] of hidden.entries()) {
          expectClose(await read(h), value(`hidden_states.${i}`).values, tolerances.forward(), `hidden ${i}`)
        }
        expectClose(await read(logits), value('logits').values, tolerances.forward(), 'logits')
        for (const [name, pair] of Object.entries(mixer.states)) {
          for (const [i, stored] of unstack(toTensor(value(name))).entries()) {
            const [ours, theirs] = pair(states[i] as State, stored)
            expectClose(await read(ours), await read(theirs), tolerances.forward(), `${name} of layer ${i}`)
          }
        }
        stack.dispose()
      })
    })

    test('token by token', async () => {
      await within(async () => {
        const stack = build()
        const [B, T] = ids().shape as [number, number]
        let states: readonly State[] | undefined
        const steps = Array.from({ length: T }, (_, t) => {
          const step = stack.forward(slice(ids(), [0, t], [B, 1]), states)
          states = step.states
          return step.logits
        })
        expectClose(await read(concat(steps, 1)), value('logits_step').values, tolerances.forward(), 'logits')
        stack.dispose()
      })
    })

    test('gradients of every parameter', async () => {
      await within(async () => {
        const stack = build()
        const parameters = [...stack.namedParameters()]
        const { value: loss, grads } = valueAndGrads(
          () => nextTokenLoss(stack.forward(ids()).logits, ids()),
          parameters.map(([, v]) => v),
        )
        expectClose(await read(reshape(loss, [1])), value('loss').values, 1e-5, 'loss')
        const stored = new Map([...golden.read('grads')].map(([name, g]) => [pathOf(name, mixer.paths), g]))
        for (const [i, [path, v]] of parameters.entries()) {
          // a tied head stands in the file once
          if (path === 'head' && v === stack.embedding) continue
          const wanted = stored.get(path) as GoldenTensor
          expectClose(await read(grads[i] ?? zeros(v.shape)), wanted.values, tolerances.gradient(), path)
        }
        stack.dispose()
      })
    })
  })
}

function nextTokenLoss(logits: Tensor, ids: Tensor): Tensor {
  const [B, T, V] = logits.shape as [number, number, number]
  const { nll } = crossEntropy({
    logits: reshape(slice(logits, [0, 0, 0], [B, T - 1, V]), [-1, V]),
    targets: reshape(slice(ids, [0, 1], [B, T - 1]), [-1]),
  })
  return mean(nll)
}
