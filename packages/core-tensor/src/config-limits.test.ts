import { expect, test } from 'vitest'
import { checkLimits, hasLimit } from './config-limits.js'

test('numbers are held to their names, in lists and nested objects too', () => {
  const config = { dModel: 64, nLayers: 2, normEps: 1e-6, port: { longterm: 0, memoryLayers: [0, 1] }, cell: 'minGRU' }
  expect(() => checkLimits('config', config)).not.toThrow()
  for (const [changed, said] of [
    [{ dModel: 1.5 }, 'config.dModel: expected a whole number from 1 to 1048576, got 1.5.'],
    [{ nLayers: 1e9 }, 'config.nLayers: expected a whole number from 1 to 10000, got 1000000000.'],
    [{ normEps: -1 }, 'config.normEps: expected a number from 0 to 1, got -1.'],
    [{ normEps: Number.NaN }, 'config.normEps: expected a number from 0 to 1, got NaN.'],
    [{ port: { longterm: -1 } }, 'config.port.longterm: expected a whole number from 0 to 1048576, got -1.'],
    [
      { port: { memoryLayers: [0, 0.5] } },
      'config.port.memoryLayers.1: expected a whole number from 0 to 10000, got 0.5.',
    ],
  ] as const)
    expect(() => checkLimits('config', { ...config, ...changed })).toThrow(new RangeError(said))
})

test('null says nothing, and a name that none has used is let be', () => {
  expect(() => checkLimits('config', { dModel: null, mine: -0.5, constructor: 1e99 })).not.toThrow()
  expect([hasLimit('dModel'), hasLimit('mine'), hasLimit('constructor')]).toEqual([true, false, false])
})
