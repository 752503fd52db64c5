import { describe, expect, test } from 'vitest'
import { markdown, type Results } from './bench/markdown.js'
import { benchCommand } from './bench-command.js'

const flags = { device: 'cpu', json: false, quick: true }
const machine = { node: 'v20', cpu: 'one', cores: 2, copyGBs: 4, matMulGflops: 40 }

describe('mneme bench', () => {
  test('a name that nothing has gets the nearest, and all that there are', async () => {
    const refused = expect(benchCommand('matmul', flags)).rejects
    await refused.toThrow(/no such op, mixer or job 'matmul'\. Did you mean 'matMul'\?/)
    await refused.toThrow(/^Jobs: matMul, .*\bstreams\.$/m)
    await refused.toThrow(/^Ops: adamW, .*\bgelu, /m)
    await refused.toThrow(/^Mixers: softmax, .*"delta rule", /m)
  })

  test('what this backend has no kernel for is not an empty table', async () => {
    await expect(benchCommand('gelu', flags)).rejects.toThrow(/bench gelu: expected a backend .* got cpu/)
    await expect(benchCommand('matMul', flags)).rejects.toThrow(/bench matMul: expected wasm, .* got cpu/)
  })

  test('of a part alone, its own table is printed', () => {
    const ours = { medianMs: 2, spreadMs: 0.5, samples: 9 }
    const products = [{ product: '[2, 2] by [2, 2]', ours, tfjs: { ...ours, medianMs: 4 }, gigaflops: 8 }]
    const none = { ops: [], torch: null, streams: [], lengths: [], decoding: [], mixers: [] }
    const results: Results = { command: 'npm run bench -- matMul', machine, backend: 'wasm', ...none, products }
    const text = markdown(results)
    expect(text.match(/^## .*/gm)).toEqual(['## Matrix products'])
    expect(text).toContain('| [2, 2] by [2, 2] | 2.00 ± 0.50 ms | 8.0 | 4.00 ms (2.00x) |')
  })
})
