/** Something that a lesson lets its reader move. */
export interface Slider {
  readonly key: string
  readonly label: string
  readonly min: number
  readonly max: number
  readonly step: number
  /** Where it stands at first. */
  readonly value: number
}

/** The sliders of each lesson; the address says where they stand, so they are known before a lesson is loaded. */
export const sliders = {
  'what-a-state-is': [
    { key: 'decay', label: 'Share a that is kept', min: 0, max: 1, step: 0.01, value: 0.9 },
    { key: 'gap', label: 'Tokens between two inputs', min: 2, max: 32, step: 1, value: 16 },
  ],
  'why-decay': [
    { key: 'decay', label: 'Decay α', min: 0.7, max: 1, step: 0.005, value: 1 },
    { key: 'pairs', label: 'Pairs that are stored', min: 4, max: 96, step: 1, value: 48 },
  ],
  'delta-rule': [
    { key: 'beta', label: 'Correction β', min: 0, max: 1, step: 0.01, value: 1 },
    { key: 'overlap', label: 'Likeness of the keys', min: 0, max: 0.95, step: 0.01, value: 0.3 },
  ],
  'segment-memory': [
    { key: 'segment', label: 'Tokens of a segment', min: 4, max: 32, step: 1, value: 12 },
    { key: 'memory', label: 'Memory tokens', min: 1, max: 8, step: 1, value: 2 },
  ],
  'learning-at-test-time': [
    { key: 'step', label: 'Step size θ', min: 0, max: 0.5, step: 0.01, value: 0.2 },
    { key: 'momentum', label: 'Momentum η', min: 0, max: 0.95, step: 0.01, value: 0 },
    { key: 'forget', label: 'Forgetting α', min: 0, max: 0.3, step: 0.005, value: 0 },
  ],
} as const satisfies Readonly<Record<string, readonly Slider[]>>

export type LessonKey = keyof typeof sliders

/** A slider's name among those of all lessons, as the address has it after `lesson.`. */
export function sliderName(lesson: LessonKey, slider: Slider): string {
  return `${lesson}.${slider.key}`
}
