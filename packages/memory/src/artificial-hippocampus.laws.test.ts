import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { ArtificialHippocampus, type ArtificialHippocampusOptions } from './artificial-hippocampus.js'
import { DeltaCompressor } from './delta-compressor.js'

const D = 6
const base: ArtificialHippocampusOptions = {
  dModel: D,
  nHeads: 2,
  nKvHeads: 2,
  dHead: 4,
  window: 4,
  sinks: 1,
  rotary: { dims: 4, base: 100 },
}
const variants: Readonly<Record<string, Partial<ArtificialHippocampusOptions> & { readonly decay: boolean }>> = {
  'gated delta rule': { decay: true },
  'delta rule, shared keys, no sinks': { decay: false, nKvHeads: 1, sinks: 0, rotary: null },
  'window of the token alone': { decay: true, window: 3, sinks: 2 },
}

for (const [name, { decay, ...variant }] of Object.entries(variants)) {
  describeMixer(
    `ArtificialHippocampus: ${name}`,
    (seed) => {
      const rng = new Rng(seed)
      const { nHeads, dHead } = base
      const sizes = { dModel: D, nHeads, dHead, normEps: 1e-5, chunk: 8 }
      const compressor = new DeltaCompressor({ ...sizes, decay, outputInit: normalInit(0.5) }, rng)
      return new ArtificialHippocampus(compressor, { ...base, ...variant }, rng)
    },
    D,
  )
}
