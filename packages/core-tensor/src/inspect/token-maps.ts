import { eye, gather, reshape, type Tensor, tensor1d, tile, transpose } from '@tensorflow/tfjs-core'
import type { Mixing, OpCall } from '../watch.js'

/** Channels of an elementwise recurrence that get a map of their own; more are left out, evenly spaced. */
const mostChannels = 16

/** Weights with which outputs read values, of one row of a batch. */
export interface LiveMap {
  readonly by: 'head' | 'channel'
  /** Numbers of the heads or channels. */
  readonly parts: readonly number[]
  /** `[parts, T, S]`. */
  readonly weights: Tensor
}

/**
 * How much of each value is in each output, exactly: the op is run again on values that are 1 at one token and 0 at all
 * others, without what earlier calls left in its state. Of attention that is its weights, of a recurrence what decay and
 * corrections have left of a token. Null for an op that does not sum values, and for more than one row.
 */
export function tokenMap(call: OpCall): LiveMap | null {
  const { mixes } = call.op
  const values = mixes && call.inputs[mixes.values]
  if (!mixes || !values || values.shape[0] !== 1) return null
  const byHead = weightsByHead(call)
  if (byHead === null) return byChannel(call, mixes, values)
  const [, H, T, S] = byHead.shape as [number, number, number, number]
  return { by: 'head', parts: range(H), weights: reshape(byHead, [H, T, S]) }
}

/** Inputs without those of earlier calls. */
function withoutCarried({ inputs }: OpCall, { carried }: Mixing): [name: string, value: Tensor][] {
  return Object.entries(inputs).filter(
    (entry): entry is [string, Tensor] => entry[1] !== undefined && !carried.includes(entry[0]),
  )
}

/**
 * Weights `[B, H, T, S]` with which a call sums values that have heads, made as those of `tokenMap`, for any number of rows
 * and with gradients; null for an op that does not sum values, or not by head.
 */
export function weightsByHead(call: OpCall): Tensor | null {
  const { mixes } = call.op
  const values = mixes && call.inputs[mixes.values]
  if (!mixes || values?.rank !== 4) return null
  const [B, S, G] = values.shape as [number, number, number, number]
  const units = tile(reshape(eye(S), [1, S, 1, S]), [B, 1, G, 1])
  const read = call.again({ ...Object.fromEntries(withoutCarried(call, mixes)), [mixes.values]: units })
  return transpose(read[mixes.output] as Tensor, [0, 2, 1, 3])
}

/** Row s of a batch of T has its values at token s alone. */
function byChannel(call: OpCall, mixes: Mixing, values: Tensor): LiveMap {
  const [, T, D] = values.shape as [number, number, number]
  const stride = Math.ceil(D / mostChannels)
  const parts = range(Math.ceil(D / stride)).map((i) => i * stride)
  const chosen = tensor1d(parts, 'int32')
  const inputs = withoutCarried(call, mixes).map(([name, value]): [string, Tensor] => {
    const form = (call.op.inputs[name] ?? '').replace('?', '').split(' | ')
    const axes = (form.find((f) => f.split(' ').length === value.rank) ?? '').split(' ')
    const at = axes.indexOf('D')
    const narrow = at < 0 ? value : gather(value, chosen, at)
    return [name, axes[0] === 'B' ? tile(narrow, [T, ...narrow.shape.slice(1).map(() => 1)]) : narrow]
  })
  const units = tile(reshape(eye(T), [T, T, 1]), [1, 1, parts.length])
  const read = call.again({ ...Object.fromEntries(inputs), [mixes.values]: units })
  return { by: 'channel', parts, weights: transpose(read[mixes.output] as Tensor, [2, 1, 0]) }
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i)
