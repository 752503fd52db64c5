import { normal, normalInit, parameter, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { CompressiveMemory, type CompressiveMemoryOptions } from './compressive-memory.js'

const [D, H, K] = [6, 2, 3]
const base: CompressiveMemoryOptions = {
  dModel: D,
  nHeads: H,
  dHead: K,
  segment: 4,
  memory: 4,
  compressed: 3,
  rate: 2,
  compression: 'mean',
  cut: true,
  projection: { bias: false, init: normalInit(0.5) },
}
const variants: Readonly<Record<string, Partial<CompressiveMemoryOptions> & { readonly table?: boolean }>> = {
  'mean of pairs, sines': {},
  'maxima, rate that does not divide, table': { compression: 'max', rate: 3, memory: 5, table: true },
  'convolution, gradients through all segments': { compression: 'conv', cut: false, segment: 3, memory: 2, rate: 2 },
  'convolution and table, no plain memory': { compression: 'conv', cut: false, segment: 2, memory: 0, table: true },
  'no slots': { compressed: 0 },
}

for (const [name, { table, ...variant }] of Object.entries(variants)) {
  describeMixer(
    `CompressiveMemory: ${name}`,
    (seed) => {
      const rng = new Rng(seed)
      const options = { ...base, ...variant }
      const rows = options.segment + options.memory + options.compressed
      const drawn = (shape: number[]) => parameter(normal(rng, shape, 0.5))
      const positions = table ? { table: drawn([H, rows, K]) } : { content: drawn([H, K]), position: drawn([H, K]) }
      return new CompressiveMemory(options, positions, rng)
    },
    D,
  )
}
