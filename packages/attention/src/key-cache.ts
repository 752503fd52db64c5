import { extended, type Gaps, type State } from '@mneme/core-tensor'
import { add, cast, cumsum, fill, maximum, mul, ones, reshape, slice, sub, type Tensor } from '@tensorflow/tfjs-core'

/** Keys and values so far. What a query may see is kept with them as document numbers, once padding or packing appears. */
export interface KvCache {
  readonly [name: string]: State
  /** `[B, S, G, K]`, rotated; null while empty. */
  readonly keys: Tensor | null
  /** Null as well where the layer goes by the values of another. */
  readonly values: Tensor | null
  /** Tokens seen, padding included: the position of the next. */
  readonly position: number
  /** Document of each key, -1 for padding, `[B, S]`; null while every key belongs to the first. */
  readonly documents: Tensor | null
  /** Document of the next token, `[B]`; null for the first. */
  readonly document: Tensor | null
  /** Tokens of each row without padding, `[B]`; null while that is `position` for all. */
  readonly rowPositions: Tensor | null
  /** Weight that all queries so far gave each key, `[B, S, G, 1]`; null where nothing goes by it. */
  readonly usage: Tensor | null
}

/** Nothing seen yet. */
export const emptyCache: KvCache = {
  keys: null,
  values: null,
  position: 0,
  documents: null,
  document: null,
  rowPositions: null,
  usage: null,
}

export interface Placement {
  /** Positions of the tokens, padding left out, int32 `[B, T]`; null where every row counts on from the same one. */
  readonly positions: Tensor | null
  readonly inputs: { readonly queryDocuments?: Tensor; readonly keyDocuments?: Tensor }
  readonly next: Pick<KvCache, 'documents' | 'document' | 'rowPositions'>
}

/**
 * Where the tokens of a call stand, and which keys their queries may meet.
 *
 * Padding is document -1, which keys of real tokens never bear: queries and keys meet only within a document.
 */
export function placement(state: KvCache, gaps: Gaps | null, B: number, T: number): Placement {
  if (gaps === null && state.document === null) {
    return { positions: null, inputs: {}, next: { documents: null, document: null, rowPositions: null } }
  }
  const tokens = gaps?.tokens ?? ones([B, T])
  const counted = add(cumsum(tokens, 1), reshape(state.rowPositions ?? fill([B], state.position), [B, 1]))
  const started = gaps === null ? fill([B, T], 0) : cumsum(gaps.starts, 1)
  const current = add(started, reshape(state.document ?? fill([B], 0), [B, 1]))
  const queryDocuments = sub(mul(add(current, 1), tokens), 1)
  const past = state.keys === null ? 0 : (state.keys.shape[1] as number)
  const known = past === 0 ? null : (state.documents ?? fill([B, past], 0))
  const keyDocuments = extended(known, queryDocuments)
  const last = (x: Tensor): Tensor => reshape(slice(x, [0, T - 1], [B, 1]), [B])
  return {
    positions: cast(maximum(sub(counted, 1), 0), 'int32'),
    inputs: { queryDocuments, keyDocuments },
    next: { documents: keyDocuments, document: last(current), rowPositions: last(counted) },
  }
}
