import { clone, reshape, type Tensor, tensor2d, tidy } from '@tensorflow/tfjs-core'
import type { TokenModel } from '../language-model.js'
import type { Recorder } from '../mixer.js'
import { watch } from '../watch.js'
import { tokenMap } from './token-maps.js'

/** Which outputs read which values, in one call of one op. */
export interface TokenMap {
  /** Where in the model, `layers.0`; empty where it does not say. */
  readonly path: string
  readonly op: string
  /** Counts the calls of this op at this path: segments, branches, steps in depth. */
  readonly call: number
  readonly by: 'head' | 'channel'
  /** Numbers of the heads or channels. */
  readonly parts: readonly number[]
  /** Outputs of the call, and values that it reads. */
  readonly rows: number
  readonly columns: number
  /** `[parts, rows, columns]`. */
  readonly weights: Float32Array
  /** Outputs hold more than these weights say: what earlier calls left in the state. */
  readonly carriesMore: boolean
}

/** What a mixer says of itself. */
export interface Recording {
  readonly path: string
  readonly name: string
  readonly call: number
  readonly shape: readonly number[]
  /** Null where there are too many to be worth reading back. */
  readonly values: Float32Array | null
}

export interface Inside {
  readonly maps: readonly TokenMap[]
  readonly recordings: readonly Recording[]
  /** Scores of the next token after each, `[T, V]`. */
  readonly scores: Float32Array
}

const mostValues = 2 ** 20

/**
 * One forward pass of one sequence, with everything that its mixers record, and the weights of every op that sums values
 * over tokens. The pass is the usual one, from the initial state; each map costs its op once more, with T values a head.
 *
 * @throws RangeError for no tokens
 */
export async function lookInside(model: TokenModel, ids: ArrayLike<number>): Promise<Inside> {
  if (ids.length === 0) throw new RangeError('lookInside ids: expected at least one token, got none.')
  const live = tidy(() => {
    const notes = new Notes()
    const input = tensor2d(Int32Array.from(ids), [1, ids.length], 'int32')
    const { y } = watch({ onOp: (call) => notes.map(call) }, () =>
      model.forward(input, undefined, { training: false, record: notes.recorder('') }),
    )
    // plain containers, whose tensors the tidy finds
    return { y, maps: notes.maps, recordings: notes.recordings } as never
  }) as LiveNotes & { readonly y: Tensor }
  const maps = await Promise.all(live.maps.map(readMap))
  const recordings = await Promise.all(live.recordings.map(readRecording))
  return { maps, recordings, scores: (await taken(live.y)) as Float32Array }
}

interface LiveNotes {
  readonly maps: readonly (Omit<TokenMap, 'weights' | 'carriesMore'> & { weights: Tensor; carried: Tensor[] })[]
  readonly recordings: readonly (Omit<Recording, 'values' | 'shape'> & { value: Tensor })[]
}

/** Collects while a forward runs. What is noted belongs to the path that was asked for last. */
class Notes {
  readonly maps: LiveNotes['maps'][number][] = []
  readonly recordings: LiveNotes['recordings'][number][] = []
  private path = ''
  private readonly counts = new Map<string, number>()

  recorder(path: string): Recorder {
    this.path = path
    return {
      record: (name, value) => {
        const call = this.count(`${path} ${name}`)
        if (name === 'weights' && value.rank === 4) this.recordedMap(path, call, value)
        // a clone, since a parameter may be recorded too
        else this.recordings.push({ path, name, call, value: clone(value) })
      },
      at: (below) => this.recorder(path === '' ? below : `${path}.${below}`),
    }
  }

  map(call: Parameters<typeof tokenMap>[0]): void {
    const map = tokenMap(call)
    if (map === null) return
    const { name: op, mixes } = call.op
    const [rows, columns] = map.weights.shape.slice(1) as [number, number]
    const carried = (mixes?.carried ?? []).flatMap((name) => call.inputs[name] ?? []).map((t) => clone(t))
    this.maps.push({ path: this.path, op, call: this.count(`${this.path} ${op}`), rows, columns, ...map, carried })
  }

  /** Attention that an op of ours does not compute, as its mixer has it: `[1, H, T, S]`. */
  private recordedMap(path: string, call: number, value: Tensor): void {
    const [, H, rows, columns] = value.shape as [number, number, number, number]
    const parts = Array.from({ length: H }, (_, h) => h)
    const weights = reshape(value, [H, rows, columns])
    this.maps.push({ path, op: 'weights', call, by: 'head', parts, rows, columns, weights, carried: [] })
  }

  private count(key: string): number {
    const count = this.counts.get(key) ?? 0
    this.counts.set(key, count + 1)
    return count
  }
}

async function readMap({ weights, carried, ...facts }: LiveNotes['maps'][number]): Promise<TokenMap> {
  const before = await Promise.all(carried.map(taken))
  return {
    ...facts,
    weights: (await taken(weights)) as Float32Array,
    carriesMore: before.some((values) => values.some((x) => x !== 0)),
  }
}

async function readRecording({ value, ...facts }: LiveNotes['recordings'][number]): Promise<Recording> {
  const { shape } = value
  if (value.size > mostValues) {
    value.dispose()
    return { ...facts, shape, values: null }
  }
  return { ...facts, shape, values: Float32Array.from(await taken(value)) }
}

/** Values of a tensor, which is then let go. */
async function taken(t: Tensor): Promise<Float32Array | Int32Array | Uint8Array> {
  const values = (await t.data()).slice()
  t.dispose()
  return values
}
