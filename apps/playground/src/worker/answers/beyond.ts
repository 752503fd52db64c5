import { nextTurn, stateBytes } from '@mneme/core-tensor'
import { type Run, score } from '@mneme/training'
import { backend, memory } from '@tensorflow/tfjs-core'
import { taskOf, trainedLength } from '../setup'
import type { Answer } from './answer'

export interface BeyondAsk {
  /** Longest, in multiples of the length that the run is trained on. */
  readonly times: number
}

/** The same model over rows of one length, read once from end to end. */
export interface BeyondPoint {
  readonly times: number
  /** Tokens of a row. */
  readonly length: number
  readonly tokenAcc: number
  readonly lossNats: number
  /** Positions that were scored, over all rows. */
  readonly positions: number
  /** State of one row at its end. */
  readonly stateBytes: number
  /** Most bytes of live tensors at the end of a piece: parameters, optimizer, states and scores. */
  readonly tensorBytes: number
  /** What the backend holds of the machine's memory, in use or not; null where it does not tell. */
  readonly heldBytes: number | null
  readonly msPerToken: number
}

export type BeyondPart =
  | { readonly type: 'progress'; readonly length: number; readonly share: number }
  | { readonly type: 'point'; readonly point: BeyondPoint }

export interface BeyondReply {
  /** Whether the longest rows were read to their end. */
  readonly complete: boolean
  /** Steps that the model had been trained for. */
  readonly step: number
}

/** Rows that are read together; text is read as one long row. */
const rows = 8
/** Tokens of all rows that a state which keeps every one of them may have to hold. */
const mostKept = 131_072
/** Short rows are read in more than one batch, until there are so many tokens: a share of a few answers says little. */
const tokensWanted = 16_384
const mostBatches = 16
/** Tokens of all rows that go through the model at once. */
const tokensAtOnce = 4096

/**
 * Evaluates the run's model at its training length and at lengths that double, up to so many times it. Rows go through
 * in pieces with carried state, so that memory grows only as the state does. An abort ends it; the points so far stay.
 *
 * @throws RangeError in words: a length that the task or the model refuses
 */
export const answer: Answer<BeyondAsk, BeyondReply, BeyondPart> = async ({ run }, { times }, { signal, tell }) => {
  const trained = trainedLength(run.setup)
  // the first pass pays for what is compiled and allocated once
  await scoreAt(run, trained, signal, () => undefined)
  for (const factor of ladder(times)) {
    if (signal.aborted) return { complete: false, step: run.step }
    const length = trained * factor
    const found = await scoreAt(run, length, signal, (share) => tell({ type: 'progress', length, share }))
    if (signal.aborted) return { complete: false, step: run.step }
    tell({ type: 'point', point: { times: factor, length, ...found } })
  }
  return { complete: true, step: run.step }
}

/** 1, 2, 4, and so on, and the last whatever it is. */
function ladder(times: number): number[] {
  const doublings = Array.from({ length: Math.floor(Math.log2(times)) + 1 }, (_, i) => 2 ** i)
  return doublings.at(-1) === times ? doublings : [...doublings, times]
}

async function scoreAt(
  { setup, model }: Run,
  length: number,
  signal: AbortSignal,
  onShare: (share: number) => void,
): Promise<Omit<BeyondPoint, 'times' | 'length'>> {
  const task = taskOf(setup)
  const count = task.kind === 'language' ? 1 : rowsAt(length, model.traits.constantState)
  const stream = await task.open(setup.taskConfig, 'test', setup.experiment.seed, count, length)
  const batches = Math.max(1, Math.min(mostBatches, Math.floor(tokensWanted / (count * length))))
  let done = 0
  // every row begins without a past, text too
  const data = {
    next() {
      done++
      return { ...stream.next(), continues: false }
    },
  }
  let [bytes, tensorBytes, lastMs] = [0, 0, performance.now()]
  let spentMs = 0
  const { tokenAcc, lossNats, by } = await score(model, data, batches, {
    tokensAtOnce,
    signal,
    async onPiece(state, end) {
      spentMs += performance.now() - lastMs
      bytes = stateBytes(state) / count
      tensorBytes = Math.max(tensorBytes, memory().numBytes)
      onShare((done - 1 + end / length) / batches)
      // the page's messages are heard only between turns
      await nextTurn()
      lastMs = performance.now()
    },
  })
  const positions = by.spans.reduce((sum, span) => sum + span.positions, 0)
  if (!signal.aborted && task.kind === 'language' && positions < batches * length) {
    throw new RangeError(`The text to test on has ${positions} tokens: a row of ${length} is longer.`)
  }
  const msPerToken = spentMs / (batches * count * length)
  return { tokenAcc, lossNats, positions, stateBytes: bytes, tensorBytes, heldBytes: heldBytes(), msPerToken }
}

function rowsAt(length: number, constantState: boolean): number {
  return constantState ? rows : Math.max(1, Math.min(rows, Math.floor(mostKept / length)))
}

function heldBytes(): number | null {
  const { wasm } = backend() as { readonly wasm?: { readonly HEAPU8?: Uint8Array } }
  const { numBytesAllocatedInGPU } = memory() as { readonly numBytesAllocatedInGPU?: number }
  return wasm?.HEAPU8?.byteLength ?? numBytesAllocatedInGPU ?? null
}
