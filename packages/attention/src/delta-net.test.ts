import { eluPlusOne, normal, normalInit, type Recorder, Rng, silu } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { fill, sum, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { DeltaNet, type DeltaNetOptions } from './delta-net.js'
import { GatedDeltaNet } from './gated-delta-net.js'

const options: DeltaNetOptions = {
  dModel: 6,
  nHeads: 2,
  expandK: 1,
  expandV: 1,
  convWidth: 4,
  qkActivation: silu,
  qkNorm: 'length',
  learnedBeta: true,
  allowNegEigval: false,
  outputGate: true,
  normEps: 1e-6,
  chunk: 8,
  projection: { bias: false, init: normalInit(0.8) },
}

describe('DeltaNet', () => {
  test.each([false, true])('is GatedDeltaNet without decay (negative eigenvalues: %s)', async (allowNegEigval) => {
    await within(async () => {
      const plain = new DeltaNet({ ...options, allowNegEigval }, new Rng(1))
      const { normEps, chunk, projection } = options
      const shared = { dModel: 6, nHeads: 2, nVHeads: 2, dHead: 3, expandV: 1, convWidth: 4, outputGate: true }
      const gated = new GatedDeltaNet(
        { ...shared, allowNegEigval, normEps, chunk, projection: projection ?? {} },
        new Rng(2),
      )
      gated.loadStateDict(await plain.stateDict(), { strict: false })
      gated.logRate.assign(fill([2], -1e3))
      gated.aProj.weight.assign(zeros([2, 6]))
      const x = normal(new Rng(3), [2, 19, 6], 1)
      const [a, b] = [plain.forward(x), gated.forward(x)]
      expectClose(await read(a.y), await read(b.y), 1e-5, 'outputs')
      expectClose(await read(a.state.memory), await read(b.state.memory as Tensor), 1e-5, 'memory')
    })
  })

  test('the chunk changes no result', async () => {
    await within(async () => {
      const x = normal(new Rng(4), [2, 21, 6], 1)
      const run = async (chunk: number) => read(new DeltaNet({ ...options, chunk }, new Rng(1)).forward(x).y)
      const one = await run(1)
      for (const chunk of [2, 7, 21, 64]) expectClose(await run(chunk), one, 1e-5, `chunk ${chunk}`)
    })
  })

  test('β lies in (0, 1), in (0, 2) beyond 1 where negative eigenvalues are allowed, and is 1 where it is not learned', async () => {
    await within(async () => {
      const x = normal(new Rng(5), [2, 50, 6], 2)
      const betas = async (variant: Partial<DeltaNetOptions>): Promise<Float32Array> => {
        const seen: Tensor[] = []
        const record: Recorder = { record: (name, b) => void (name === 'beta' && seen.push(b)), at: () => record }
        new DeltaNet({ ...options, ...variant }, new Rng(1)).forward(x, undefined, { training: false, record })
        return read(seen[0] as Tensor)
      }
      const plain = await betas({})
      expect(Math.max(...plain)).toBeLessThanOrEqual(1)
      expect(Math.min(...plain)).toBeGreaterThanOrEqual(0)
      expectClose(
        await betas({ allowNegEigval: true }),
        plain.map((b) => 2 * b),
        1e-6,
        'doubled',
      )
      expect(new Set(await betas({ learnedBeta: false }))).toEqual(new Set([1]))
    })
  })

  test('keys of sum 1: a first token is stored under shares that sum to what β lets through', async () => {
    await within(async () => {
      const mixer = new DeltaNet({ ...options, qkNorm: 'sum', qkActivation: eluPlusOne, convWidth: 0 }, new Rng(6))
      const x = normal(new Rng(7), [1, 1, 6], 1)
      const { memory } = mixer.forward(x).state
      // Σ_K k v β = v β
      const beta = await read(mixer.bProj?.forward(x) as Tensor)
      const v = await read(silu(mixer.vProj.forward(x)))
      const expected = v.map((value, n) => value / (1 + Math.exp(-(beta[Math.floor(n / 3)] as number))))
      expectClose(await read(sum(memory, 2)), expected, 1e-5, 'stored')
    })
  })
})
