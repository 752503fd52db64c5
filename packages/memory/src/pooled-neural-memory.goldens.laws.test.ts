import { type NamedTensor, type Recorder, Rng, valueAndGrads } from '@mneme/core-tensor'
import { type Golden, type GoldenTensor, goldens, toTensor } from '@mneme/testing/goldens'
import { inPieces, read, type Sequence, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { div, mul, reshape, sum, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { PooledNeuralMemory } from './pooled-neural-memory.js'

/** Our path of each stored name. */
const paths: Readonly<Record<string, string>> = {
  'store_norm.weight': 'storeNorm.weight',
  'retrieve_norm.weight': 'retrieveNorm.weight',
  'to_queries.weight': 'qProj.weight',
  'to_keys.weight': 'kProj.weight',
  'to_values.weight': 'vProj.weight',
  'to_adaptive_step.0.weight': 'stepGate.weight',
  'to_adaptive_step.0.bias': 'stepGate.bias',
  'to_momentum.0.weight': 'momentumGate.weight',
  'to_momentum.0.bias': 'momentumGate.bias',
  'to_decay_factor.0.weight': 'decayGate.weight',
  'to_decay_factor.0.bias': 'decayGate.bias',
  'retrieve_gate.0.weight': 'readGate.weight',
  'combine_heads.weight': 'oProj.weight',
  'q_norm.gamma': 'qNorm.gamma',
  'k_norm.gamma': 'kNorm.gamma',
  'multihead_rmsnorm.gamma': 'readNorm.gamma',
  transition_gate: 'transition',
}

function pathOf(name: string): string | undefined {
  const weight = /^memory_model_parameters\.(\d+)$/.exec(name)
  return weight === null ? paths[name] : `initialWeights.${weight[1]}`
}

function memoryOf(golden: Golden): PooledNeuralMemory {
  const config = golden.json('config') as Readonly<Record<string, number | boolean | undefined>>
  const number = (key: string, fallback: number): number => (config[key] as number | undefined) ?? fallback
  const memory = new PooledNeuralMemory(
    {
      dModel: number('dim', 0),
      nHeads: number('heads', 1),
      dHead: number('dim_head', number('dim', 0)),
      depth: number('depth', 2),
      expansion: number('exp', 4),
      innerNorm: true,
      chunk: number('chunk_size', 1),
      refresh: number('batch_size', 0),
      momentum: config.momentum === true,
      maxLr: 1,
      maxGradNorm: number('max_grad_norm', 0),
      qkNorm: config.qk_rmsnorm === true,
      readNorm: config.post_rmsnorm === true,
      transitionGate: config.gated_transition === true,
      weightResidual: false,
    },
    new Rng(0),
  )
  const tensors: Record<string, NamedTensor> = {}
  for (const [name, value] of golden.read('weights')) {
    if (!name.startsWith('memory_model.')) tensors[pathOf(name) ?? name] = value
  }
  memory.loadStateDict(tensors)
  return memory
}

for (const golden of goldens()) {
  if (golden.name.startsWith('titans-neural-memory')) describeGolden(golden)
}

/** The port's own read-outs, step sizes, losses, states and outer gradients. */
function describeGolden(golden: Golden): void {
  describe(`golden ${golden.name}`, () => {
    const expected = golden.read('expected')
    const value = (name: string): GoldenTensor => expected.get(name) as GoldenTensor

    test('read-outs: whole, in two segments, token by token', async () => {
      await within(async () => {
        const memory = memoryOf(golden)
        const x = toTensor(value('x'))
        const T = x.shape[1] as number
        const cut = value('split_at').values[0] as number
        const runs: [name: string, sizes: number[]][] = [
          ['retrieved', [T]],
          ['retrieved_two_segments', [cut, T - cut]],
          ['retrieved_step', Array<number>(T).fill(1)],
        ]
        for (const [name, sizes] of runs) {
          const { y } = inPieces(memory as unknown as Sequence, x, sizes)
          expectClose(await read(y), value(name).values, tolerances.forward(), name)
        }
        memory.dispose()
      })
    })

    test('step sizes, losses, and the state at the end', async () => {
      await within(async () => {
        const memory = memoryOf(golden)
        const seen = new Map<string, Tensor>()
        const record: Recorder = { record: (name, picture) => seen.set(name, picture), at: () => record }
        const { state } = memory.forward(toTensor(value('x')), undefined, { training: false, record })
        expectClose(await read(seen.get('stepSize') as Tensor), value('adaptive_lr').values, 1e-5, 'step sizes')
        expectClose(await read(seen.get('surprise') as Tensor), value('surprise_loss').values, 1e-5, 'losses')
        const last = [...expected.keys()].filter((name) => name.startsWith('final.last_update.'))
        const inOrder = [...last.filter((name) => name.endsWith('gamma')), ...last.filter((n) => !n.endsWith('gamma'))]
        for (const [i, name] of inOrder.entries()) {
          expectClose(await read(state.weights[i] as Tensor), value(name).values, tolerances.forward(), name)
          const momentum = state.momentum?.[i]
          const stored = name.replace('last_update', 'last_momentum')
          if (momentum) expectClose(await read(momentum), value(stored).values, tolerances.forward(), stored)
        }
        memory.dispose()
      })
    })

    test('gradients of every parameter', async () => {
      await within(async () => {
        const memory = memoryOf(golden)
        const weights = toTensor(value('g.retrieved'))
        const parameters = [...memory.namedParameters()]
        const { value: loss, grads } = valueAndGrads(
          () => div(sum(mul(memory.forward(toTensor(value('x'))).y, weights)), weights.size),
          parameters.map(([, v]) => v),
        )
        expectClose(await read(reshape(loss, [1])), value('loss').values, 1e-5, 'loss')
        const stored = new Map([...golden.read('grads')].map(([name, g]) => [pathOf(name), g]))
        for (const [i, [path, v]] of parameters.entries()) {
          const wanted = stored.get(path) as GoldenTensor
          expectClose(await read(grads[i] ?? zeros(v.shape)), wanted.values, tolerances.gradient(), path)
        }
        memory.dispose()
      })
    })
  })
}
