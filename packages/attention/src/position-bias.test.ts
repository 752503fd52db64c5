import { Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { describe, expect, test } from 'vitest'
import { T5Bias } from './position-bias.js'

/** The columns of a table `[H, R]`, H values each. */
function columnsOf(values: Float32Array, H: number): number[][] {
  const R = values.length / H
  return Array.from({ length: R }, (_, r) => Array.from({ length: H }, (_, h) => values[h * R + r] as number))
}

describe('biases by distance, both ways', () => {
  const [H, buckets, maxDistance] = [2, 8, 16]
  // before: 0, 1 by themselves, then 2 to 5 and from 6 on; after: the same in the second half
  const past = [0, 1, 2, 2, 2, 2, 3, 3]

  for (const bothWays of [true, false]) {
    test(
      bothWays ? 'keys after a query have the second half' : 'keys after a query share the bucket of distance 0',
      async () => {
        await within(async () => {
          const bias = new T5Bias({ nHeads: H, buckets, maxDistance, bothWays }, new Rng(1))
          const rows = await read(bias.weight)
          const row = (bucket: number): number[] => [...rows.slice(bucket * H, (bucket + 1) * H)]
          const { relativeBias, ahead } = bias.tableBothWays()
          const columns = columnsOf(await read(relativeBias), H)
          expect(columns.length).toBe(2 * maxDistance + 1)
          expect(ahead).toBe(maxDistance)
          expect(columns.slice(ahead)).toEqual(columnsOf(await read(bias.table()), H))
          for (let n = 1; n < past.length; n++) {
            const bucket = past[n] as number
            expect(columns[ahead - n], `${n} after`).toEqual(row(bothWays ? buckets / 2 + bucket : 0))
            if (bothWays) expect(columns[ahead + n], `${n} before`).toEqual(row(bucket))
          }
        })
      },
    )
  }
})
