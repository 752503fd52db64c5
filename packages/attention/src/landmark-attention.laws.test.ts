import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { describeDecoder, goldenDecoder, llamaNames } from '@mneme/testing/decoder-goldens'
import { type Golden, goldens } from '@mneme/testing/goldens'
import { LandmarkAttention, type LandmarkAttentionOptions } from './landmark-attention.js'

const D = 6
const options: LandmarkAttentionOptions = {
  dModel: D,
  nHeads: 2,
  dHead: 4,
  block: 3,
  retrieved: null,
  rotary: { dims: 4, base: 100 },
  projection: { bias: false, init: normalInit(0.6) },
}

describeMixer('LandmarkAttention', (seed) => new LandmarkAttention(options, new Rng(seed)), D)
describeMixer(
  'LandmarkAttention, two blocks retrieved',
  (seed) => new LandmarkAttention({ ...options, block: 2, retrieved: 2, rotary: null }, new Rng(seed)),
  D,
)

describeMixer(
  'LandmarkAttention, two blocks retrieved, near positions',
  (seed) => new LandmarkAttention({ ...options, block: 1, retrieved: 2, positions: 'near' }, new Rng(seed)),
  D,
)

describeMixer(
  'LandmarkAttention, four queries at a time',
  (seed) => new LandmarkAttention({ ...options, queryBlock: 4 }, new Rng(seed)),
  D,
)

function decoderOf(golden: Golden) {
  const config = golden.json('config')
  const number = (key: string): number => config[key] as number
  const [dModel, nHeads] = [number('hidden_size'), number('num_attention_heads')]
  const dHead = dModel / nHeads
  const rotary = { dims: dHead, base: (config.rope_theta as number | undefined) ?? 10000 }
  const mixer = { dModel, nHeads, dHead, block: number('mem_freq'), retrieved: null, rotary }
  return goldenDecoder(golden, llamaNames, {
    mixer: (rng) => new LandmarkAttention(mixer, rng),
    rules: ['q', 'k', 'v', 'o'].map((p) => ({ path: `${p}Proj.weight`, name: `self_attn.${p}_proj.weight` })),
    normEps: number('rms_norm_eps'),
  })
}

for (const golden of goldens()) {
  if (!golden.files.includes('config.json')) continue
  if (golden.json('config').model_type === 'llama_with_landmark') describeDecoder(golden, () => decoderOf(golden))
}
