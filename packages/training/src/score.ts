import { disposeState, nextTokenLoss, type State, stateTensors, type TokenModel } from '@mneme/core-tensor'
import { argMax, type Tensor2D, tensor2d, tidy } from '@tensorflow/tfjs-core'
import type { Batch, Stream } from './data.js'

/** How well a model answers. */
export interface Score {
  /** Mean over all scored positions, in nats. */
  readonly lossNats: number
  /** Share of scored positions predicted right. */
  readonly tokenAcc: number
  /** Share of rows with every scored position right. */
  readonly seqAcc: number
  readonly by: Breakdown
}

/** The same score, told apart by how far back the answer was shown; by place in the row where the task does not say. */
export interface Breakdown {
  readonly of: 'distance' | 'position'
  /** From near to far, each twice as wide as the one before; those without a scored position are left out. */
  readonly spans: readonly Span[]
}

export interface Span {
  /** In tokens, both ends within; positions are counted from 1. */
  readonly from: number
  readonly to: number
  readonly positions: number
  readonly lossNats: number
  readonly tokenAcc: number
}

export interface ScoreOptions {
  /** Whether batches that go on start from the state of the one before; by default where that state does not grow. */
  readonly carry?: boolean
  /** Tokens of all rows that go through in one call: longer batches are cut, with carried state. */
  readonly tokensAtOnce?: number
  /** Ends the scoring after the piece that is under way; what is left out is not scored. */
  readonly signal?: AbortSignal | undefined
  /** Called after each piece with the state that it left and its last token in the row. */
  readonly onPiece?: (state: State, end: number) => void | Promise<void>
}

/** Loss and accuracy of a model on so many batches of a stream. */
export async function score(
  model: TokenModel,
  data: Pick<Stream, 'next'>,
  batches: number,
  options: ScoreOptions = {},
): Promise<Score> {
  const { carry = model.traits.constantState } = options
  let state: State = null
  const tally = new ScoreTally()
  for (let i = 0; i < batches && !options.signal?.aborted; i++) {
    const batch = data.next()
    if (batch.continues !== true || !carry) {
      disposeState(state)
      state = null
    }
    state = await scoreBatch(model, batch, { state, tally, options })
  }
  disposeState(state)
  return tally.score()
}

interface Scoring {
  state: State
  readonly tally: ScoreTally
  readonly options: ScoreOptions
}

/** Scores a batch in pieces, and returns the state after it. */
async function scoreBatch(model: TokenModel, batch: Batch, scoring: Scoring): Promise<State> {
  const { batch: B, length: T } = batch
  const { tokensAtOnce = 1 << 16, signal, onPiece } = scoring.options
  const { causal, whole } = model.traits
  const piece = causal && whole !== true ? Math.max(1, Math.floor(tokensAtOnce / B)) : T
  const found = { nll: new Float32Array(B * T), predicted: new Int32Array(B * T).fill(-1) }
  for (let start = 0; start < T; start += piece) {
    const end = Math.min(T, start + piece)
    await scorePiece(model, batch, [start, end], scoring, found)
    await onPiece?.(scoring.state, end)
    if (signal?.aborted) return scoring.state
  }
  scoring.tally.add(batch, found.nll, found.predicted)
  return scoring.state
}

interface Found {
  /** `[B, T]` each. */
  readonly nll: Float32Array
  readonly predicted: Int32Array
}

async function scorePiece(
  model: TokenModel,
  { batch: B, length: T, ...rows }: Batch,
  [start, end]: readonly [number, number],
  scoring: Scoring,
  found: Found,
): Promise<void> {
  const length = end - start
  const cut = (all: Batch['inputs']): Int32Array => {
    if (length === T) return all as Int32Array
    const part = new Int32Array(B * length)
    for (let b = 0; b < B; b++) part.set(all.subarray(b * T + start, b * T + end), b * length)
    return part
  }
  const next = tidy(() => {
    const ids = tensor2d(cut(rows.inputs), [B, length], 'int32')
    const { y, state: after } = model.forward(ids, scoring.state ?? model.initialState(B))
    const { nll } = nextTokenLoss(y, tensor2d(cut(rows.targets), [B, length], 'int32'))
    return { nll, predicted: argMax(y, -1) as Tensor2D, after: after as never }
  })
  const held = new Set(stateTensors(next.after))
  for (const t of stateTensors(scoring.state)) if (!held.has(t)) t.dispose()
  scoring.state = next.after
  const [nll, predicted] = [await next.nll.data(), await next.predicted.data()]
  next.nll.dispose()
  next.predicted.dispose()
  for (let b = 0; b < B; b++) {
    found.nll.set(nll.subarray(b * length, (b + 1) * length), b * T + start)
    found.predicted.set(predicted.subarray(b * length, (b + 1) * length), b * T + start)
  }
}

interface Sums {
  positions: number
  nats: number
  right: number
}

/** Adds up batches that come whole or in pieces, and scores them all. */
export class ScoreTally {
  private readonly all: Sums = { positions: 0, nats: 0, right: 0 }
  private readonly rows = { asked: 0, right: 0 }
  /** By the logarithm of the distance, rounded down. */
  private readonly spans = new Map<number, Sums>()
  private of: Breakdown['of'] = 'position'

  /** Counts a batch, or a piece of one, from the nll and the predicted ids of its positions, `[B, T]` each. */
  add(batch: Batch, nll: ArrayLike<number>, predicted: ArrayLike<number>): void {
    const { batch: B, length: T, mask, targets, distances } = batch
    if (distances?.some((distance) => distance > 0)) this.of = 'distance'
    for (let b = 0; b < B; b++) {
      let [asked, rightHere] = [0, 0]
      for (let t = 0; t < T; t++) {
        const at = b * T + t
        if (!mask[at]) continue
        const right = predicted[at] === targets[at] ? 1 : 0
        const far = this.of === 'distance' ? (distances?.[at] ?? 0) : t + 1
        asked++
        rightHere += right
        this.count(this.all, nll[at] as number, right)
        if (far > 0) this.count(this.span(far), nll[at] as number, right)
      }
      if (asked === 0) continue
      this.rows.asked++
      if (rightHere === asked) this.rows.right++
    }
  }

  private span(far: number): Sums {
    const at = Math.floor(Math.log2(far))
    const sums = this.spans.get(at) ?? { positions: 0, nats: 0, right: 0 }
    this.spans.set(at, sums)
    return sums
  }

  private count(sums: Sums, nats: number, right: number): void {
    sums.positions++
    sums.nats += nats
    sums.right += right
  }

  /** Figures without a scored position are NaN. */
  score(): Score {
    const spans = Array.from(this.spans).sort(([a], [b]) => a - b)
    return {
      ...meanOf(this.all),
      seqAcc: this.rows.right / this.rows.asked,
      by: {
        of: this.of,
        spans: spans.map(([at, sums]) => ({
          from: 2 ** at,
          to: 2 ** (at + 1) - 1,
          positions: sums.positions,
          ...meanOf(sums),
        })),
      },
    }
  }
}

function meanOf({ positions, nats, right }: Sums): { lossNats: number; tokenAcc: number } {
  return { lossNats: nats / positions, tokenAcc: right / positions }
}
