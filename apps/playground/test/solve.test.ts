import { expect, test } from 'vitest'
import { type Measure, type Measured, solve } from '../src/experiment/solve'

type Config = Readonly<Record<string, unknown>>

/** A made-up paper: heads must divide the width, and the inner width is a setting of its own. */
const standard = { dModel: 64, nLayers: 2, nHeads: 4, dInner: 128, window: 16, normEps: 1e-6 }
const counts = (config: Config): Measured => {
  const { dModel, nLayers, dInner, window } = { ...standard, ...config } as typeof standard
  return { parameters: nLayers * (4 * dModel ** 2 + 3 * dModel * dInner), stateBytes: 4 * nLayers * window * dModel }
}

function measuring(): { measure: Measure; tried: Config[] } {
  const tried: Config[] = []
  return {
    tried,
    async measure(config) {
      tried.push(config)
      const { dModel, nHeads } = { ...standard, ...config } as typeof standard
      return dModel % nHeads === 0 && dModel > 0 ? counts(config) : null
    },
  }
}

test.each([1000, 9000, 54_321, 250_000, 3_000_000])(
  '%i parameters are met within three in a hundred',
  async (target) => {
    const { measure, tried } = measuring()
    const found = await solve({ standard, given: {}, what: 'parameters', target, measure })
    expect(counts(found.config).parameters).toBe(found.value)
    expect(Math.abs(found.off)).toBeLessThan(0.03)
    expect(found.off).toBeCloseTo(found.value / target - 1, 10)
    expect(found.config).not.toHaveProperty('nLayers')
    expect(tried.length).toBeLessThan(100)
  },
)

test.each([512, 4096, 100_000])('%i bytes of state are met within three in a hundred', async (target) => {
  const { measure } = measuring()
  const found = await solve({ standard, given: { dInner: 64 }, what: 'stateBytes', target, measure })
  expect(Math.abs(found.off)).toBeLessThan(0.03)
  expect(found.config.dInner).toBe(64)
})

test('what is right already is left as it was', async () => {
  const { measure } = measuring()
  const target = counts({}).parameters
  const found = await solve({ standard, given: { window: 8 }, what: 'parameters', target, measure })
  expect(found).toEqual({ config: { window: 8 }, changed: [], value: target, off: 0 })
})

test('a target out of reach is approached, and the distance told', async () => {
  const { measure } = measuring()
  const fixed: Measure = async (config) => ({ ...((await measure(config)) ?? counts({})), stateBytes: 64 })
  const found = await solve({ standard, given: {}, what: 'stateBytes', target: 128, measure: fixed })
  expect(found).toMatchObject({ changed: [], value: 64, off: -0.5 })
})

test('settings that are refused from the start are named as the trouble', async () => {
  const { measure } = measuring()
  const question = { standard, given: { nHeads: 5 }, what: 'parameters', target: 100, measure } as const
  await expect(solve(question)).rejects.toThrow(/refused/)
})

test('where nothing else can be changed, the width gives up its multiples', async () => {
  const only = { dModel: 64 }
  const measure: Measure = async (config) => {
    const { dModel } = { ...only, ...config } as typeof only
    return { parameters: dModel ** 2, stateBytes: 0 }
  }
  const found = await solve({ standard: only, given: {}, what: 'parameters', target: 21 ** 2, measure })
  expect(found).toMatchObject({ config: { dModel: 21 }, off: 0 })
})
