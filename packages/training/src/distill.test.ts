import { type LanguageModel, type TokenModel, valueAndGrads } from '@mneme/core-tensor'
import hgrn from '@mneme/models/hgrn'
import llamba from '@mneme/models/llamba'
import transformer from '@mneme/models/transformer'
import { memory, type Tensor, tensor2d } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import { type DistillKind, distillation } from './distill.js'
import { AdamW } from './optimizer.js'

const width = { dModel: 8, nLayers: 2, nHeads: 2, dHead: 4, dInner: 8, vocabulary: 13, initStd: 0.4 }
const teacherOf = (nLayers = 2): LanguageModel =>
  transformer.build({ ...transformer.tiny, ...width, nKvHeads: 2, nLayers, seed: 1 })
const studentOf = (seed = 2): LanguageModel =>
  llamba.build({ ...llamba.tiny, ...width, nGroups: 2, dState: 4, tieEmbeddings: false, seed })

const tokens = (): Tensor =>
  tensor2d(
    Array.from({ length: 24 }, (_, i) => (i * 7 + (i % 5)) % 13),
    [2, 12],
    'int32',
  )
const kinds: readonly DistillKind[] = ['mixing', 'outputs', 'scores']

/** Loss and gradients of one stage; what is returned is freed. */
function learnt(kind: DistillKind, teacher: TokenModel, student: TokenModel): { loss: number; paths: string[] } {
  const ids = tokens()
  const named = [...student.namedParameters()]
  const stage = distillation(teacher, [{ kind, steps: 1 }])
  const { value, grads } = valueAndGrads(
    () => stage(student, ids, ids, {}, 0).loss,
    named.map(([, v]) => v),
  )
  const loss = value.dataSync()[0] as number
  const paths = named.flatMap(([path], i) => (grads[i] ? [path] : []))
  for (const t of [ids, value, ...grads]) t?.dispose()
  return { loss, paths }
}

test.each(kinds)('%s: teaches the mixers alone, but for scores; leaves nothing behind', (kind) => {
  const [teacher, student] = [teacherOf(), studentOf()]
  const before = memory().numTensors
  const { loss, paths } = learnt(kind, teacher, student)
  expect(memory().numTensors).toBe(before)
  expect(loss).toBeGreaterThan(0.01)
  expect(paths.some((path) => path.includes('.mixer.'))).toBe(true)
  expect(paths.some((path) => !path.includes('.mixer.'))).toBe(kind === 'scores')
  for (const model of [teacher, student]) model.dispose()
})

test('a student that is its teacher has nothing to learn from matrices and outputs, and the entropy from scores', () => {
  const model = studentOf()
  expect(learnt('mixing', model, model).loss).toBeLessThan(1e-5)
  expect(learnt('outputs', model, model).loss).toBeLessThan(1e-5)
  const other = studentOf(3)
  expect(learnt('scores', model, model).loss).toBeLessThan(learnt('scores', model, other).loss)
  for (const m of [model, other]) m.dispose()
})

test.each(kinds)('%s: falls in training', async (kind) => {
  const [teacher, student] = [teacherOf(), studentOf()]
  student.loadStateDict(await teacher.stateDict(), { strict: false })
  const optimizer = new AdamW(student, { beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0 })
  const ids = tokens()
  const stage = distillation(teacher, [{ kind, steps: 40 }])
  const losses: number[] = []
  for (let step = 0; step < 40; step++) {
    const { value, grads } = valueAndGrads(() => stage(student, ids, ids, {}, step).loss, optimizer.parameters)
    losses.push(value.dataSync()[0] as number)
    optimizer.step(grads, 1e-2)
    for (const t of [value, ...grads]) t?.dispose()
  }
  const entropy = kind === 'scores' ? learnt('scores', teacher, teacher).loss : 0
  expect((losses[39] as number) - entropy).toBeLessThan(0.6 * ((losses[0] as number) - entropy))
  ids.dispose()
  optimizer.dispose()
  for (const model of [teacher, student]) model.dispose()
})

test('stages follow one another, and the last goes on', () => {
  const [teacher, student] = [teacherOf(), studentOf()]
  const ids = tokens()
  const objective = distillation(teacher, [
    { kind: 'outputs', steps: 2 },
    { kind: 'scores', steps: 1 },
  ])
  const rank = (step: number): number => objective(student, ids, ids, {}, step).nll.rank
  expect([0, 1, 2, 3].map(rank)).toEqual([0, 0, 2, 2])
  ids.dispose()
  for (const model of [teacher, student]) model.dispose()
})

test('what does not fit is refused', () => {
  const [teacher, deeper, student] = [teacherOf(), teacherOf(3), studentOf()]
  expect(() => distillation(teacher, [])).toThrow(/at least one, got none/)
  expect(() => learnt('outputs', deeper, student)).toThrow(/a student of 3 layers, as the teacher, got 2/)
  const elementwise = hgrn.build({ ...hgrn.tiny, dModel: 8, nLayers: 2, vocabulary: 13 })
  expect(() => learnt('mixing', teacher, elementwise)).toThrow(/one op that sums tokens by head in '.*', got 0/)
  for (const model of [teacher, deeper, student, elementwise]) model.dispose()
})
