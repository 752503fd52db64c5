import { engine } from '@tensorflow/tfjs-core'
import type { LessonAnswer, SliderValues } from '../../view/lessons/lesson'
import { startBackend } from '../backend'

/** What the pictures of each lesson are computed by; each file exports `compute`. */
const computed: Readonly<Record<string, () => Promise<{ compute(values: SliderValues): Promise<LessonAnswer> }>>> = {
  'what-a-state-is': () => import('../lessons/what-a-state-is'),
  'why-decay': () => import('../lessons/why-decay'),
  'delta-rule': () => import('../lessons/delta-rule'),
  'segment-memory': () => import('../lessons/segment-memory'),
  'learning-at-test-time': () => import('../lessons/learning-at-test-time'),
}

let started: Promise<unknown> | null = null

export interface LessonPayload {
  readonly lesson: string
  readonly values: SliderValues
}

/** The pictures of a lesson, by the ops that models run on. */
export async function help({ lesson, values }: LessonPayload): Promise<LessonAnswer> {
  started ??= startBackend('wasm', () => undefined)
  await started
  const load = computed[lesson]
  if (load === undefined) throw new RangeError(`lesson: there is none of the name '${lesson}'.`)
  const { compute } = await load()
  engine().startScope(lesson)
  try {
    return await compute(values)
  } finally {
    engine().endScope()
  }
}
