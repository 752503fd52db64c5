import {
  type Alignment,
  type Carry,
  Embedding,
  LearnedPositions,
  type NameRule,
  type Rng,
  type SequenceMixer,
  type State,
  segmentRecurrent,
} from '@mneme/core-tensor'
import { type Gpt2Config, gpt2Names } from './gpt2.js'

/** A decoder of GPT-2's layers that runs over segments, with tokens for a memory. */
export interface SegmentedConfig extends Gpt2Config {
  readonly memoryTokens: number
  /** Tokens of a segment, without those of the memory. */
  readonly segment: number
  /** Which segment is short where the length does not go into the sequence: the last, the first, or all a little. */
  readonly alignment: Alignment
  /** Whether memory tokens have positions of their own; else positions run through the memory and the segment. */
  readonly ownPositions: boolean
  /** Segments that gradients flow back through; 0 for all. */
  readonly backprop: number
}

/** Runs a body over segments, and places their tokens. */
export function inSegments<M extends State>(
  config: SegmentedConfig,
  body: SequenceMixer,
  carry: Carry<M>,
  rng: Rng,
): SequenceMixer {
  const { dModel, positions, initStd, memoryTokens, segment, alignment, ownPositions, backprop } = config
  const longest = ownPositions ? segment : carry.front + segment + memoryTokens
  if (positions < longest) {
    throw new RangeError(`positions: expected at least ${longest}, for a segment with its memory, got ${positions}.`)
  }
  const options = { length: segment, alignment, backprop: backprop || Number.POSITIVE_INFINITY }
  const mixer = ownPositions
    ? segmentRecurrent(body, carry, { ...options, positions: new Embedding(positions, dModel, rng, initStd) })
    : segmentRecurrent(new LearnedPositions({ dModel, positions, std: initStd }, body, rng), carry, options)
  return mixer as unknown as SequenceMixer
}

/**
 * The names of what is GPT-2's.
 *
 * @param own the table of positions by its rows, where memory tokens have their own
 * @param layer where a layer stands, below the place of its index, here and in the file
 */
export function segmentedNames(
  config: SegmentedConfig,
  prefix: string,
  own: readonly Omit<NameRule, 'name'>[],
  layer = '',
): NameRule[] {
  const stack = config.ownPositions ? 'body.inner' : 'body.inner.inner'
  return gpt2Names(config, {
    prefix,
    layers: [`${stack}.layers.{i}${layer}`, `transformer.h.{i}${layer}`],
    norm: `${stack}.outputNorm`,
    positions: config.ownPositions ? own : [{ path: 'body.inner.embedding.weight' }],
  })
}
