import { type Tensor, tensor2d } from '@tensorflow/tfjs-core'
import type { TokenModel } from '../language-model.js'
import { advance, disposeState, leaves, type State } from '../state.js'

/** What one tensor of a state went through while a sequence was read, token by token. */
export interface LeafHistory {
  readonly path: string
  /** After the last token; the first axis is the batch, of one row. */
  readonly shape: readonly number[]
  /** Whether its size changed on the way: keys, values and tokens that are kept one by one. */
  readonly grows: boolean
  /** Euclidean length after each token. */
  readonly norms: Float32Array
  /** Length of what each token changed or added. */
  readonly changes: Float32Array
  /** Every so many values are kept of a state of one size. */
  readonly stride: number
  /** `[T, kept]` of a state of one size; the values after the last token of one that grows. */
  readonly values: Float32Array
  /** The values that are kept, as they were before the first token; empty for a state that grows. */
  readonly initial: Float32Array
}

/**
 * Reads a sequence token by token and keeps what becomes of the state. Costs T forwards of one token, and reads the
 * whole state back after each.
 *
 * @param mostValues of each tensor that are kept for a token; of larger ones, evenly spaced values
 * @throws RangeError for a model that looks both ways, which has no state between tokens
 */
export async function stateHistory(
  model: TokenModel,
  ids: ArrayLike<number>,
  mostValues = 4096,
): Promise<readonly LeafHistory[]> {
  if (!model.traits.causal) {
    throw new RangeError('stateHistory: expected a model that sees the past alone, got one that looks both ways.')
  }
  const histories = new Map<string, Leaf>()
  let state: State = advance(null, () => ({ state: model.initialState(1) })).state
  try {
    await note(histories, state, -1, ids.length, mostValues)
    for (let t = 0; t < ids.length; t++) {
      const before = state
      state = advance(before, () => {
        const input = tensor2d([ids[t] as number], [1, 1], 'int32')
        return { state: model.forward(input, before).state }
      }).state
      await note(histories, state, t, ids.length, mostValues)
    }
  } finally {
    disposeState(state)
  }
  return [...histories.values()].map((leaf) => leaf.history())
}

async function note(
  histories: Map<string, Leaf>,
  state: State,
  t: number,
  length: number,
  mostValues: number,
): Promise<void> {
  const tensors = [...leaves(state)].filter(
    (entry): entry is [string, Tensor] => typeof entry[1] === 'object' && entry[1] !== null,
  )
  const read = await Promise.all(tensors.map(([, tensor]) => tensor.data()))
  for (const [i, [path, { shape }]] of tensors.entries()) {
    const leaf = histories.get(path) ?? new Leaf(path, length, mostValues)
    histories.set(path, leaf)
    leaf.note(t, read[i] as ArrayLike<number>, shape)
  }
}

/** The past of one tensor, as it comes in. */
class Leaf {
  private readonly norms: Float32Array
  private readonly changes: Float32Array
  private readonly rows: Float32Array[] = []
  private before: Float32Array | null = null
  private initial = new Float32Array()
  private shape: readonly number[] = []
  private grows = false

  constructor(
    private readonly path: string,
    private readonly length: number,
    private readonly mostValues: number,
  ) {
    this.norms = new Float32Array(length)
    this.changes = new Float32Array(length)
  }

  /** @param t -1 for the initial state */
  note(t: number, read: ArrayLike<number>, shape: readonly number[]): void {
    const values = Float32Array.from(read)
    const { before } = this
    if (t >= 0) {
      this.norms[t] = lengthOf(values)
      this.changes[t] = change(before, values)
      this.rows.push(this.kept(values))
    } else this.initial = this.kept(values)
    if (before === null ? t >= 0 : before.length !== values.length) this.grows = true
    this.before = values
    this.shape = shape
  }

  private kept(values: Float32Array): Float32Array<ArrayBuffer> {
    const stride = this.strideOf(values.length)
    return values.filter((_, i) => i % stride === 0)
  }

  private strideOf(size: number): number {
    return Math.max(1, Math.ceil(size / this.mostValues))
  }

  history(): LeafHistory {
    const { path, shape, norms, changes } = this
    const last = this.before ?? new Float32Array()
    const grows = this.grows || this.rows.length !== this.length
    const facts = { path, shape, grows, norms, changes }
    if (grows) return { ...facts, stride: 1, values: last, initial: new Float32Array() }
    const width = this.rows[0]?.length ?? 0
    const values = new Float32Array(width * this.length)
    for (const [t, row] of this.rows.entries()) values.set(row, t * width)
    return { ...facts, stride: this.strideOf(last.length), values, initial: this.initial }
  }
}

/** Of a state of one size, the length of the difference; of one that grew, of what stands behind what was there. */
function change(before: Float32Array | null, after: Float32Array): number {
  if (before === null) return lengthOf(after)
  if (before.length !== after.length) return lengthOf(after.subarray(Math.min(before.length, after.length)))
  return lengthOf(after.map((x, i) => x - (before[i] as number)))
}

function lengthOf(values: Float32Array): number {
  return Math.sqrt(values.reduce((total, x) => total + x * x, 0))
}
