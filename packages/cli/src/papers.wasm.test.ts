import { Session } from '@mneme/core-tensor'
import { paperKeys } from '@mneme/models'
import { Run, resolveExperiment } from '@mneme/training'
import { describe, expect, test } from 'vitest'
import { catalogue } from './settings.js'

const STEPS = 200

describe.each(paperKeys)('%s', (key) => {
  test(`${STEPS} training steps: better than chance, and no tensor left behind`, async () => {
    const { tiny, ...paper } = await catalogue.loadPaper(key)
    const { vocabulary: _, seed: __, ...config } = tiny
    // what looks both ways is asked for what is marked, not for what comes next
    const marked = { task: 'selective-copying', taskConfig: { vocab: 6, length: 14, data: 3 } }
    const data = paper.card.kind === 'encoder' ? marked : { task: 'novel' }
    const train = { steps: STEPS, batch: 4, length: 16, lr: 1e-2, evalEvery: 0, evalBatches: 8 }
    const run = await Run.create(await resolveExperiment({ paper: key, config, ...data, train }, catalogue))
    const tensors: number[] = []
    while (!run.finished) tensors.push((await run.advance()).tensors)
    // rows that go on carry a state, so the count settles once a whole segment has been filled
    expect(new Set(tensors.slice(-100)).size).toBeLessThanOrEqual(new Set(tensors.slice(20, 100)).size)
    expect(Math.max(...tensors.slice(-100))).toBe(Math.max(...tensors.slice(20, 100)))
    const chance = Math.log(run.model.vocabulary)
    expect((await run.evaluate()).lossNats).toBeLessThan(0.9 * chance)
    run.dispose()
  })

  test('streaming: the state is bounded where the paper says so', async () => {
    const paper = await catalogue.loadPaper(key)
    const model = paper.build(paper.tiny)
    if (paper.card.kind === 'encoder') {
      expect(() => new Session(model)).toThrow(/looks both ways/)
      return model.dispose()
    }
    const session = new Session(model)
    session.feed([1])
    const sizes: number[] = []
    for await (const _ of session.generate({ maxNewTokens: 240 })) sizes.push(session.report().stateBytes)
    const [early, late] = [Math.max(...sizes.slice(60, 100)), Math.max(...sizes.slice(-40))]
    if (model.traits.constantState) expect(late).toBe(early)
    else expect(late).toBeGreaterThan(early)
    session.dispose()
    model.dispose()
  })
})
