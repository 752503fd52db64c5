import { storedNames } from '@mneme/core-tensor'
import { within } from '@mneme/testing/subject'
import { describe, expect, test } from 'vitest'
import titans, { moreTiny, type TitansConfig } from './titans.js'
import { checkpoint } from './titans-checkpoint.js'

const layout = checkpoint(titans.config)
const port = (name: string): TitansConfig => moreTiny[name] as TitansConfig

describe('the layout of the titans-pytorch port', () => {
  test.each(['mac-port', 'mac-port, every option'])('%s: settings and names survive a round trip', async (name) => {
    await within(async () => {
      const config = port(name)
      const again = layout.config(layout.publish(config))
      const { convWidth, lossReduction, memoryHeads, port: options, ropeBase, seed, ...rest } = config
      expect(again).toMatchObject({ ...rest, memoryHeads, port: options, tieEmbeddings: false })
      const model = titans.build(config)
      const paths = Array.from(model.namedParameters(), ([path]) => path)
      const names = [...storedNames(paths, layout.names(config)).values()].map((stored) => stored.name)
      expect(new Set(names).size).toBe(paths.length)
      model.dispose()
    })
  })

  test('what is not read must be at rest', () => {
    const published = { ...layout.publish(port('mac-port')) }
    expect(() => layout.config({ ...published, num_residual_streams: 4 })).toThrow(/num_residual_streams: expected 1/)
    const memory = { ...(published.neural_memory_kwargs as object), momentum_order: 2 }
    expect(() => layout.config({ ...published, neural_memory_kwargs: memory })).toThrow(
      /momentum_order: expected 1, got 2/,
    )
    expect(() => layout.config({ ...published, neural_memory_add_value_residual: true })).toThrow(/expected false/)
  })

  test('the variants of the paper have no published layout', () => {
    expect(() => layout.names(titans.config)).toThrow(/expected variant 'mac-port', got 'lmm'/)
  })
})
