import { describe, expect, test } from 'vitest'
import { defaultSetup, readAddress, type Setup, writeAddress } from '../src/experiment/address'
import { optionDefaults } from '../src/experiment/options'
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
    draw: { ...optionDefaults.draw, prompt: 'A & B = ü?#', temperature: 0, topK: 5, tokens: 12 },
  },
}

describe('addresses', () => {
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
