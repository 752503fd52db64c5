import { withDefaults } from '@mneme/core-tensor/config'
import { describe, expect, it } from 'vitest'
import associativeRetrieval, { type AssociativeRetrievalConfig } from './associative-retrieval.js'
import copying, { type CopyingConfig } from './copying.js'
import factRecall, { type FactRecallConfig } from './fact-recall.js'
import inductionHeads, { type InductionHeadsConfig } from './induction-heads.js'
import majority, { type MajorityConfig } from './majority.js'
import { crossEntropy, scored, Tally } from './metrics.js'
import mqar, { type MqarConfig } from './mqar.js'
import selectiveCopying from './selective-copying.js'
import stringCopying, { type StringCopyingConfig } from './string-copying.js'
import { IGNORED, type TaskBatch, type TaskSpec } from './task.js'

/** The answer due at an index, found by reading one row's inputs only. */
type Solver<C> = (inputs: readonly number[], at: number, config: C) => number | undefined

const samples = 1000

const solveMqar: Solver<MqarConfig> = (inputs, at, { pairs }) => {
  for (let i = 0; i < 2 * pairs; i += 2) if (inputs[i] === inputs[at]) return inputs[i + 1]
  return undefined
}

const solveCopying: Solver<{ vocab: number; data: number }> = (inputs, at, { vocab, data }) => {
  const marker = vocab - 1
  if (inputs[at] !== marker) return 0
  return inputs.filter((token) => token !== 0 && token !== marker)[at - (inputs.length - data)]
}

const solveInduction: Solver<InductionHeadsConfig> = (inputs, at, { form, vocab, copied }) => {
  const trigger = form === 'h3' ? vocab - 2 : vocab - 1
  return inputs[inputs.indexOf(trigger) + 1 + at - (inputs.length - copied)]
}

const solveFact: Solver<FactRecallConfig> = (inputs, _at, { noise }) => inputs.find((token) => token >= noise)

const solveMajority: Solver<MajorityConfig> = (inputs, _at, { symbols }) => {
  const counts = Array.from({ length: symbols }, (_, s) => inputs.filter((token) => token === s).length)
  return counts.indexOf(Math.max(...counts))
}

const solveString: Solver<StringCopyingConfig> = (inputs, at, { reversed }) => {
  const i = at - inputs.length / 2
  return inputs[reversed ? inputs.length / 2 - 1 - i : i]
}

const solveRetrieval: Solver<AssociativeRetrievalConfig> = (inputs, at, { keySize, valueSize }) => {
  const segment = keySize + valueSize + 2
  const [key, i] = [inputs.slice(-segment).slice(0, keySize), at - (inputs.length - valueSize - 2)]
  const starts = Array.from({ length: inputs.length / segment - 1 }, (_, s) => s * segment)
  const found = starts.findLast((start) => key.every((symbol, j) => inputs[start + j] === symbol)) as number
  return inputs[found + keySize + 1 + i]
}

async function draw<C extends object>(task: TaskSpec<C>, config: Partial<C>, rows = samples, length?: number) {
  return (await task.open(config, 'train', 5, rows, length)).next()
}

function rowsOf({ inputs, targets, mask, batch, length }: TaskBatch) {
  return Array.from({ length: batch }, (_, b) => {
    const cut = (values: Int32Array | Float32Array) => Array.from(values.subarray(b * length, (b + 1) * length))
    return { inputs: cut(inputs), targets: cut(targets), mask: cut(mask) }
  })
}

/** Solves every scored position, and holds each row to the number of them that the task states. */
function law<C extends { length: number }>(
  task: TaskSpec<C>,
  configs: readonly Partial<C>[],
  solve: Solver<C>,
  perRow: (config: C) => number,
) {
  for (const given of [...configs, { ...task.defaults, length: 2 * task.defaults.length }]) {
    it(`${task.key} ${JSON.stringify(given)}: the inputs hold every answer`, async () => {
      const config = withDefaults(task.key, task.defaults, given)
      const { size } = await task.vocabulary(config)
      const batch = await draw(task, given)
      for (const { inputs, targets, mask } of rowsOf(batch)) {
        expect(targets.map((_, at) => (mask[at] === 1 ? solve(inputs, at, config) : IGNORED))).toEqual(targets)
        expect(Math.min(...inputs)).toBeGreaterThanOrEqual(0)
        expect(Math.max(...inputs, ...targets)).toBeLessThan(size)
        expect(mask.filter((weight) => weight === 1)).toHaveLength(perRow(config))
        expect(mask.filter((weight) => weight === 0)).toHaveLength(config.length - perRow(config))
      }
      expect(scored(batch)).toBe(samples * perRow(config))
    })
  }
}

describe('distances', () => {
  const tasks: [TaskSpec<never>, object][] = [
    [mqar as TaskSpec<never>, {}],
    [mqar as TaskSpec<never>, { passes: 2, power: 1 }],
    [copying as TaskSpec<never>, {}],
    [selectiveCopying as TaskSpec<never>, {}],
    [inductionHeads as TaskSpec<never>, {}],
    [inductionHeads as TaskSpec<never>, { form: 'h3', triggers: 3, copied: 2 }],
  ]
  it.each(tasks)('of $key %j lead from what is asked back to an input that is the answer', async (task, given) => {
    const { inputs, targets, mask, distances = [] } = await draw(task, given as never, 50)
    for (const [at, weight] of mask.entries()) {
      const distance = distances[at] as number
      if (weight === 0) expect(distance).toBe(0)
      else expect([distance > 0, inputs[at - distance]]).toEqual([true, targets[at]])
    }
  })
})

describe('a solver that reads only the inputs', () => {
  law(
    mqar,
    [{}, mqar.tiny, { randomNonQueries: true }, { passes: 2, power: 1 }, { vocab: 8192, length: 128, pairs: 8 }],
    solveMqar,
    ({ pairs }) => pairs,
  )
  law(copying, [{}, copying.tiny, { fullLoss: true }], solveCopying, ({ length, data, fullLoss }) =>
    fullLoss ? length : data,
  )
  law(selectiveCopying, [{}, selectiveCopying.tiny, { vocab: 16, data: 16 }], solveCopying, ({ data }) => data)
  law(
    inductionHeads,
    [{}, inductionHeads.tiny, { form: 'h3', vocab: 20, length: 31 }, { form: 'h3', triggers: 4, copied: 3 }],
    solveInduction,
    ({ copied }) => copied,
  )
  law(factRecall, [{}, factRecall.tiny, { place: 'start' }], solveFact, () => 1)
  law(majority, [{}, majority.tiny, { lead: 0 }], solveMajority, () => 1)
  law(stringCopying, [{}, stringCopying.tiny, { reversed: true }], solveString, ({ length }) => length / 2)
  law(
    associativeRetrieval,
    [
      { mixed: false },
      associativeRetrieval.tiny,
      { rewrite: true, mixed: false, keySize: 2, valueSize: 3, length: 35 },
    ],
    solveRetrieval,
    ({ valueSize }) => valueSize + 1,
  )
})

/** Of the target classes, against equal shares: chi square within three of its standard deviations. */
function expectBalanced(targets: readonly number[], classes: number) {
  const counts = new Map<number, number>()
  for (const target of targets) counts.set(target, (counts.get(target) ?? 0) + 1)
  expect(counts.size).toBe(classes)
  const due = targets.length / classes
  const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - due) ** 2 / due, 0)
  expect(Math.abs(chiSquare - (classes - 1))).toBeLessThan(3 * Math.sqrt(2 * (classes - 1)))
}

function answers(batch: TaskBatch): number[] {
  return Array.from(batch.targets).filter((target) => target !== IGNORED)
}

describe('answers are balanced', () => {
  it('mqar', async () => expectBalanced(answers(await draw(mqar, { vocab: 32 }, 4000)), 16))
  it('copying', async () => expectBalanced(answers(await draw(copying, {}, 4000)), 8))
  it('selective copying', async () => expectBalanced(answers(await draw(selectiveCopying, {}, 4000)), 8))
  it('induction heads', async () => expectBalanced(answers(await draw(inductionHeads, {}, 4000)), 15))
  it('fact recall', async () => expectBalanced(answers(await draw(factRecall, {}, 4000)), 8))
  it('majority', async () => expectBalanced(answers(await draw(majority, {}, 4000)), 4))
  it('string copying', async () => expectBalanced(answers(await draw(stringCopying, {}, 1000)), 26))
})

describe('lengths', () => {
  const lengthsOf = async <C extends object>(task: TaskSpec<C>, config: Partial<C>, split: 'train' | 'test') => {
    const stream = await task.open(config, split, 5, 2)
    return new Set(Array.from({ length: 200 }, () => stream.next().length))
  }

  it('are mixed in training only: every multiple of the shortest', async () => {
    expect(await lengthsOf(factRecall, { length: 50, shortest: 10 }, 'train')).toEqual(new Set([10, 20, 30, 40, 50]))
    expect(await lengthsOf(factRecall, { length: 50, shortest: 10 }, 'test')).toEqual(new Set([50]))
    expect(await lengthsOf(stringCopying, { length: 16, shortest: 4 }, 'train')).toEqual(new Set([4, 8, 12, 16]))
    expect(await lengthsOf(associativeRetrieval, { mixed: true }, 'train')).toEqual(new Set([8, 12, 16, 20, 24]))
  })

  it('grow from the shortest to all, where that is asked for', async () => {
    const stream = await factRecall.open({ length: 40, shortest: 10, growth: 40 }, 'train', 5, 2)
    const drawn = Array.from({ length: 200 }, () => stream.next().length)
    expect(new Set(drawn.slice(0, 10))).toEqual(new Set([10]))
    expect(Math.max(...drawn.slice(0, 20))).toBe(20)
    expect(new Set(drawn.slice(40))).toEqual(new Set([10, 20, 30, 40]))
  })
})

describe('mqar', () => {
  const firstSlots = async (config: Partial<MqarConfig>, rows: number) => {
    const { pairs, length } = withDefaults('mqar', mqar.defaults, config)
    return rowsOf(await draw(mqar, config, rows)).map(({ inputs, mask }) => {
      const asked = mask.flatMap((weight, at) => (weight === 1 ? [at] : []))
      expect(asked.every((at) => at >= 2 * pairs && at < length && at % 2 === 0)).toBe(true)
      return Array.from({ length: pairs }, (_, i) => {
        const at = asked.find((index) => inputs[index] === inputs[2 * i]) ?? -1
        return (at - 2 * pairs) / 2
      })
    })
  }

  it('asks soonest most often: 0.261, 0.132, 0.088 of the first three of 24 slots', async () => {
    const rows = 20_000
    const slots = await firstSlots({ length: 50, pairs: 1 }, rows)
    for (const [slot, expected] of [0.261, 0.132, 0.088].entries()) {
      const share = slots.filter(([at]) => at === slot).length / rows
      const sigma = Math.sqrt((expected * (1 - expected)) / rows)
      expect(Math.abs(share - expected)).toBeLessThan(3 * sigma + 0.0005)
    }
  })

  it('draws slots one by one without replacement, renormalising', async () => {
    const rows = 20_000
    const weights = [1, 2 ** -0.99, 3 ** -0.99].map((weight, _, all) => weight / all.reduce((a, b) => a + b))
    const slots = await firstSlots({ length: 10, pairs: 2 }, rows)
    weights.forEach((first, i) => {
      weights.forEach((second, j) => {
        const expected = i === j ? 0 : (first * second) / (1 - first)
        const share = slots.filter(([a, b]) => a === i && b === j).length / rows
        expect(Math.abs(share - expected)).toBeLessThanOrEqual(4 * Math.sqrt((expected * (1 - expected)) / rows))
      })
    })
  })

  it('shows distinct keys below V/2, distinct values from V/2 on, again in every pass', async () => {
    const { inputs } = await draw(mqar, { vocab: 12, length: 16, pairs: 2, passes: 2 }, 1)
    const list = Array.from(inputs.slice(0, 4))
    expect(Array.from(inputs.slice(4, 8))).toEqual(list)
    const [k1 = 0, v1 = 0, k2 = 0, v2 = 0] = list
    expect(k1 !== k2 && v1 !== v2).toBe(true)
    expect(Math.min(k1, k2) >= 1 && Math.max(k1, k2) <= 5).toBe(true)
    expect(Math.min(v1, v2) >= 6 && Math.max(v1, v2) <= 11).toBe(true)
  })

  it('takes the layout of the worked example: V 12, n 2, T 16', async () => {
    const config = withDefaults('mqar', mqar.defaults, { vocab: 12, length: 16, pairs: 2 })
    const example = [2, 8, 4, 7, 0, 0, 4, 0, 0, 0, 0, 0, 2, 0, 0, 0]
    expect(solveMqar(example, 6, config)).toBe(7)
    expect(solveMqar(example, 12, config)).toBe(8)
    // about one sample in 30,000 is this row: both pairs, then slot 4 for the first key and slot 1 for the second
    const stream = await mqar.open(config, 'train', 5, 2000)
    let found: { targets: number[] } | undefined
    for (let tries = 0; found === undefined && tries < 200; tries++) {
      found = rowsOf(stream.next()).find(({ inputs }) => inputs.every((token, t) => token === example[t]))
    }
    expect(found?.targets[6]).toBe(7)
    expect(found?.targets[12]).toBe(8)
  })
})

describe('trivial losses', () => {
  it('copying: a constant model fitted to the answers stays at ln 8', async () => {
    const batch = await draw(copying, {})
    const due = answers(batch)
    const nats = due.map((target) => -Math.log(due.filter((other) => other === target).length / due.length))
    const tally = new Tally()
    tally.addLossSum(
      nats.reduce((a, b) => a + b),
      due.length,
    )
    expect(Math.abs(tally.lossNats / Math.log(8) - 1)).toBeLessThan(0.01)
    expect(await copying.baselines({})).toEqual([expect.objectContaining({ lossNats: Math.log(8), accuracy: 1 / 8 })])
  })

  it('copying with the loss everywhere: M ln 8 / T', async () => {
    const config: CopyingConfig = { ...copying.defaults, fullLoss: true }
    const batch = await draw(copying, config, 50)
    const logits = Array.from(batch.inputs, (token) =>
      Array.from({ length: config.vocab }, (_, id) => {
        const likely = token === config.vocab - 1 ? id > 0 && id < config.vocab - 1 : id === 0
        return likely ? 0 : -50
      }),
    ).flat()
    const tally = new Tally()
    tally.addLosses(batch, crossEntropy(batch, logits, config.vocab))
    const [trivial] = await copying.baselines(config)
    expect(trivial?.lossNats).toBeCloseTo((10 * Math.log(8)) / 120, 12)
    expect(tally.lossNats / (trivial?.lossNats ?? 0)).toBeCloseTo(1, 2)
  })

  it('mqar and induction heads: chance', async () => {
    expect(await mqar.baselines({})).toEqual([
      expect.objectContaining({ accuracy: 1 / 128 }),
      expect.objectContaining({ accuracy: 1 / 4 }),
    ])
    expect(await inductionHeads.baselines({ form: 'h3', vocab: 20 })).toEqual([
      expect.objectContaining({ accuracy: 1 / 18 }),
    ])
  })
})

describe('induction heads, form h3', () => {
  it('repeats the same tokens after every trigger', async () => {
    const copied = 2
    const several = rowsOf(await draw(inductionHeads, { form: 'h3', vocab: 20, triggers: 3, copied }, 200))
    const triggers = several.map(({ inputs }) => inputs.flatMap((token, at) => (token === 18 ? [at] : [])))
    expect(triggers.some((places) => places.length === 2)).toBe(true)
    expect(triggers.some((places) => places.length === 4)).toBe(true)
    several.forEach(({ inputs }, row) => {
      const after = (triggers[row] ?? []).slice(0, -1).map((at) => inputs.slice(at + 1, at + 1 + copied).join())
      expect(new Set(after).size).toBe(1)
    })
  })
})
