import { withDefaults } from '@mneme/core-tensor/config'
import { Rng } from '@mneme/core-tensor/rng'
import type { Row } from './batch.js'
import { blankBatch, checkCursor } from './batch.js'
import { checkInteger } from './check.js'
import type { Baseline, TaskSpec, TaskStream, Vocabulary } from './task.js'
import { splitSeed } from './task.js'

/** Writes one sample of T tokens into a blank row. */
export type Sampler = (rng: Rng, row: Row) => void

/** What a synthetic task says of itself; `synthetic` makes the rest. */
export interface SyntheticParts<C extends { length: number }>
  extends Pick<TaskSpec<C>, 'key' | 'title' | 'source' | 'metric' | 'defaults' | 'tiny' | 'published'> {
  /** Refuses sizes that do not fit together. Keys and kinds are checked before. */
  check(config: C): void
  /** What fills one row with a sample, for a configuration. */
  sampler(config: C): Sampler
  /** Number of ids that a configuration uses. */
  size(config: C): number
  /** How one id reads. */
  name(config: C, id: number): string
  /** What no memory, or a simple rule, reaches at a configuration. */
  baselines(config: C): readonly Baseline[]
  /** Lengths that training draws from, batch by batch; the one length where absent or null. */
  lengths?(config: C): Lengths | null
}

/** A curriculum of lengths. */
export interface Lengths {
  /** From short to long. */
  readonly all: readonly number[]
  /** Batches until the longest is among those that are drawn, each as likely; 0 for all from the start. */
  readonly growth: number
}

/**
 * A task whose samples are drawn one after another from one generator, so that sample i of a stream is the same at
 * every batch size, unless lengths are mixed.
 */
export function synthetic<C extends { length: number }>(parts: SyntheticParts<C>): TaskSpec<C> {
  const { key, title, source, metric, defaults, tiny, published } = parts

  const settle = (given: Partial<C>, length?: number): C => {
    const config = withDefaults(key, defaults, length === undefined ? given : { ...given, length })
    parts.check(config)
    return config
  }

  return {
    key,
    title,
    source,
    kind: 'synthetic',
    metric,
    defaults,
    tiny,
    published,
    async open(given, split, seed, batch, length) {
      const config = settle(given, length)
      checkInteger(`${key}.batch`, batch, 1)
      const stream = `${key} ${split} seed ${seed} batch ${batch} ${JSON.stringify(config)}`
      const lengths = (split === 'train' && parts.lengths?.(config)) || { all: [config.length], growth: 0 }
      return drawn(stream, new Rng(splitSeed(seed, split)), { batch, lengths }, parts.sampler(config))
    },
    async vocabulary(given): Promise<Vocabulary> {
      const config = settle(given)
      return {
        size: parts.size(config),
        decode: (ids) => Array.from(ids, (id) => parts.name(config, id)).join(' '),
      }
    },
    async baselines(given) {
      return parts.baselines(settle(given))
    },
  }
}

interface Sizes {
  readonly batch: number
  readonly lengths: Lengths
}

function drawn(stream: string, start: Rng, { batch, lengths }: Sizes, sample: Sampler): TaskStream {
  let rng = start
  let position = 0
  return {
    next() {
      const { all, growth } = lengths
      const open = growth === 0 ? all.length : Math.min(all.length, Math.ceil((all.length * (position + 1)) / growth))
      const blank = blankBatch(batch, all[all.length === 1 ? 0 : rng.int(0, open)] as number)
      for (const row of blank.rows) sample(rng, row)
      position++
      return blank.batch
    },
    save: () => ({ stream, rng: rng.save(), position }),
    restore(cursor) {
      checkCursor(cursor, stream)
      rng = Rng.restore(cursor.rng)
      position = cursor.position
    },
  }
}

/** `step`, and every multiple of it up to `longest`. */
export function multiples(step: number, longest: number): number[] {
  return Array.from({ length: Math.floor(longest / step) }, (_, i) => step * (i + 1))
}
