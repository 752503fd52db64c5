import { describe, expect, test } from 'vitest'
import { defaultSetup, readAddress, type Setup, writeAddress } from '../src/experiment/address'
import { type Options, optionDefaults, optionNames, readOptions } from '../src/experiment/options'
import { experimentId, quickExperiment } from '../src/experiment/starting-point'

const all: Setup = {
  experiments: [
    quickExperiment('min-rnn'),
    { ...quickExperiment('mamba', 'mqar', 7), config: { dModel: 24 }, taskConfig: { pairs: 2 } },
    quickExperiment('transformer'),
    { ...quickExperiment('gla'), train: {} },
  ],
  backend: 'wasm',
  view: { key: 'papers', detail: 'mamba' },
  options: {
    ...optionDefaults,
    chart: 'distance',
    axis: 'seconds',
    equal: 'time',
    seconds: 2.5,
    times: 300,
    runs: { order: '-tokenAcc' },
    draw: { ...optionDefaults.draw, prompt: 'A & B = ü?#', temperature: 0, topK: 5, tokens: 12 },
    look: { ...optionDefaults.look, token: 7, map: 2, head: 3, state: 4, stateHead: 2, signal: 5 },
    papers: { words: 'delta rule', family: 'recurrent', order: 'newest' },
    lesson: { ...optionDefaults.lesson, 'why-decay.pairs': 12, 'delta-rule.beta': 0.25 },
  },
}

/** An address as they were before the page had lessons to move and tables to sort. */
const old =
  'view=inside/b&paper=min-rnn&config=&task=mqar&task.pairs=2&train.steps=50&seed=0&b.paper=gla&b.config.dModel=16&b.task=mqar&b.train=&b.seed=1&backend=wasm&chart=accuracy&axis=tokens&equal=time&seconds=30&times=500&sweep=recall&draw.prompt=The%20sea&draw.topK=5&look.row=3&look.text=whale'

describe('addresses', () => {
  test('an old one opens as it did', () => {
    const { view, backend, experiments, options } = readAddress(`#${old}`)
    expect(writeAddress({ view, backend, experiments, options })).toBe(old)
    const { draw, look, ...others } = options
    expect([draw.prompt, draw.topK, look.row, look.text]).toEqual(['The sea', 5, 3, 'whale'])
    expect(others).toEqual({
      ...(({ draw: _, look: __, ...rest }: Options) => rest)(optionDefaults),
      ...{ chart: 'accuracy', axis: 'tokens', equal: 'time', seconds: 30, times: 500, sweep: 'recall' },
    })
  })

  test.each(optionNames)('%s that is no number and no word of its own is refused, or is any text', (name) => {
    const nonsense = '\u0000-1e99'
    const read = () => readOptions(new Map([[name, nonsense]]))
    if (/prompt|text|words/.test(name)) expect(JSON.stringify(read())).toContain('-1e99')
    else expect(read).toThrow(new RegExp(`^address: .*${name}`))
  })

  test.each([
    ['the default', defaultSetup()],
    ['everything', all],
  ])('%s comes back as it was', (_, setup) => {
    expect(readAddress(`#${writeAddress(setup)}`)).toEqual(setup)
  })

  test('what is as by default is not written', () => {
    expect(writeAddress(defaultSetup())).not.toMatch(/axis|equal|draw|view|b\./)
  })

  test.each([
    ['axis=minutes', /no such axis 'minutes'/],
    ['equal=tme', /Did you mean 'time'/],
    ['draw.temperature=hot', /expected draw.temperature between 0 and 5, got 'hot'/],
    ['seconds=', /expected seconds between 1/],
    ['e.paper=mamba', /no such part 'e.paper'/],
    ['c.paper=mamb', /no such paper 'mamb'/],
    ['view=trai', /Did you mean 'train'/],
    ['look.token=2.5', /expected look.token, a whole number, between 0 and 9999, got '2.5'/],
    ['look.map=0', /expected look.map, a whole number, between 1/],
    ['lesson.why-decay.pairs=97', /expected lesson.why-decay.pairs, a whole number, between 4 and 96/],
    ['lesson.why-decay.pears=9', /no such part 'lesson.why-decay.pears'. Did you mean 'lesson.why-decay.pairs'/],
    ['papers.family=memry', /Did you mean 'memory'/],
    ['runs.order=--steps', /no such runs.order/],
    ['sweep=recal', /Did you mean 'recall'/],
  ])('%s is refused in words', (hash, message) => {
    expect(() => readAddress(hash)).toThrow(message)
  })
})

test('an experiment has one name, whatever the order of its settings', () => {
  const [one, other] = [
    { ...quickExperiment(), config: { dModel: 8, nLayers: 1 } },
    { ...quickExperiment(), config: { nLayers: 1, dModel: 8 } },
  ]
  expect(experimentId(one)).toBe(experimentId(other))
  expect(experimentId({ ...one, seed: 1 })).not.toBe(experimentId(one))
})
