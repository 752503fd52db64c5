import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('a run killed three times at random moments ends as one that was not, to the bit', async () => {
  expect(existsSync(join(root, 'packages/cli/dist/bin.js')), 'npm run build comes first').toBe(true)
  const { killedAndResumed } = (await import('./killed.mjs')) as {
    killedAndResumed(of: { kills: number; steps: number }): Promise<{ same: boolean; kills: number }>
  }
  expect(await killedAndResumed({ kills: 3, steps: 300 })).toMatchObject({ same: true, kills: 3 })
}, 60_000)
