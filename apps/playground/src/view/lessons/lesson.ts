import type { Experiment } from '@mneme/training'
import type { LessonKey, Slider } from '../../experiment/sliders'

export type SliderValues = Readonly<Record<string, number>>

/** A lesson as it is read; its pictures are computed in `worker/lessons/<key>.ts` whenever a slider is moved. */
export interface Lesson {
  readonly key: LessonKey
  readonly title: string
  /** TeX, made into MathML when the app is built. */
  readonly equation: string
  readonly before: readonly string[]
  readonly sliders: readonly Slider[]
  /** What to try, and what it shows. */
  readonly after: readonly string[]
  readonly experiment: { readonly title: string; readonly runs: readonly Experiment[] }
}

/** A picture as plain data. */
export type Figure =
  | {
      readonly form: 'lines'
      readonly title: string
      readonly along: string
      readonly unit: string
      readonly series: readonly { readonly name: string; readonly values: readonly number[] }[]
      readonly bars?: boolean
      readonly low?: number
      readonly high?: number
      /** Name of each place; its number where absent. */
      readonly names?: readonly string[]
    }
  | {
      readonly form: 'map'
      readonly title: string
      readonly rows: number
      readonly columns: number
      readonly values: readonly number[]
      readonly axes: { readonly rows: string; readonly columns: string }
    }

export interface LessonAnswer {
  readonly figures: readonly Figure[]
  /** A sentence with the numbers that matter. */
  readonly summary: string
}
