import type { Tensor } from '@tensorflow/tfjs-core'
import { startBackend } from '../backend'
import { open } from '../checkpoint/opened'

export interface ParameterRow {
  readonly path: string
  readonly shape: readonly number[]
  readonly count: number
  readonly mean: number
  readonly deviation: number
}

/** What a checkpoint turned out to be. */
export interface CheckpointFacts {
  readonly paper: string
  readonly layout: 'published' | 'own'
  readonly config: Readonly<Record<string, unknown>>
  readonly parameters: readonly ParameterRow[]
  readonly total: number
  readonly vocabulary: number
  readonly causal: boolean
  readonly constantState: boolean
  /** Of one row after a thousand tokens. */
  readonly stateBytes: number
  /** Whether text can be turned into tokens. */
  readonly reads: boolean
}

let started: Promise<unknown> | null = null

/** Reads a checkpoint from chosen files. @throws Error whose message lists what does not fit */
export async function help(
  files: readonly File[],
  tell: (part: { readonly loaded: number; readonly total: number }) => void,
): Promise<CheckpointFacts> {
  started ??= startBackend('auto', () => undefined)
  await started
  const { model, paper, config, words, layout } = await open(files, (loaded, total) => tell({ loaded, total }))
  const parameters: ParameterRow[] = []
  for (const [path, value] of model.namedParameters()) parameters.push(await rowOf(path, value))
  return {
    paper: paper.card.key,
    layout,
    config: { ...config },
    parameters,
    total: model.parameterCount(),
    vocabulary: model.vocabulary,
    causal: model.traits.causal,
    constantState: model.traits.constantState,
    stateBytes: model.stateBytes(1000),
    reads: words.encode !== undefined,
  }
}

async function rowOf(path: string, value: Tensor): Promise<ParameterRow> {
  const values = await value.data()
  let [sum, squares] = [0, 0]
  for (const x of values) {
    sum += x
    squares += x * x
  }
  const mean = sum / values.length
  return {
    path,
    shape: value.shape,
    count: values.length,
    mean,
    deviation: Math.sqrt(Math.max(0, squares / values.length - mean * mean)),
  }
}
