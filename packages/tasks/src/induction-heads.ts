import type { Rng } from '@mneme/core-tensor/rng'
import { ask } from './batch.js'
import { checkInteger, checkOneOf } from './check.js'
import { chance } from './metrics.js'
import type { Sampler } from './synthetic.js'
import { synthetic } from './synthetic.js'
import type { Published } from './task.js'

const forms = ['mamba', 'h3'] as const

/** Sizes of induction heads. */
export interface InductionHeadsConfig {
  /** 'mamba': one trigger and one answer; 'h3': one or more triggers, each followed by the same m tokens. */
  readonly form: string
  /** A: ordinary tokens from 0 up, then the trigger; 'h3' also keeps the last id, its unused full stop. */
  readonly vocab: number
  /** T, the input's length, with the final trigger and all but the last of the answer's tokens. */
  readonly length: number
  /** Triggers drawn in the half of the samples that may have more than one; 1 in 'mamba'. */
  readonly triggers: number
  /** m tokens after a trigger, to be repeated at the end; 1 in 'mamba'. */
  readonly copied: number
}

const figure = (model: string, value: number): Published => ({
  model,
  setting: 'h3 form, A 20, L 30',
  metric: 'tokenAcc',
  value,
  source: 'Dao et al. 2023, arXiv:2212.14052, table 2',
  recalled: true,
})

/**
 * Induction heads: a trigger stands in random tokens, and again at the end, where what followed it is due.
 *
 * Sources: Olsson et al. 2022, arXiv:2209.11895; form 'h3' Dao et al. 2023, arXiv:2212.14052, section 3.1; form 'mamba'
 * Gu and Dao 2023, arXiv:2312.00752, section 4.1.2 (trained at T 256, tested from 64 to 2^20).
 */
export const inductionHeads = synthetic<InductionHeadsConfig>({
  key: 'induction-heads',
  title: 'Induction heads',
  source: 'Olsson et al. 2022, arXiv:2209.11895; Gu and Dao 2023, arXiv:2312.00752',
  metric: 'tokenAcc',
  defaults: { form: 'mamba', vocab: 16, length: 64, triggers: 1, copied: 1 },
  tiny: { form: 'mamba', vocab: 6, length: 12, triggers: 1, copied: 1 },
  published: [
    figure('S4D', 0.356),
    figure('GSS', 0.068),
    figure('H3', 1),
    figure('attention', 1),
    {
      model: 'Mamba, 2 layers',
      setting: 'mamba form, trained at T 256, tested to T 2^20',
      metric: 'tokenAcc',
      value: 1,
      source: 'arXiv:2312.00752, table 11',
      recalled: true,
    },
  ],
  check({ form, vocab, length, triggers, copied }) {
    checkOneOf('induction-heads', 'form', form, forms)
    checkInteger('induction-heads.vocab', vocab, form === 'h3' ? 3 : 2)
    checkInteger('induction-heads.triggers', triggers, 1, form === 'h3' ? undefined : 1)
    checkInteger('induction-heads.copied', copied, 1, form === 'h3' ? undefined : 1)
    checkInteger('induction-heads.length', length, form === 'h3' ? 2 * copied + 2 : 3)
  },
  sampler: (config) => (config.form === 'h3' ? h3Sampler(config) : mambaSampler(config)),
  size: ({ vocab }) => vocab,
  name: (config, id) => (id < ordinary(config) ? String(id) : id === ordinary(config) ? '=>' : '.'),
  baselines: (config) => [{ name: 'chance: any ordinary token', ...chance(ordinary(config)) }],
})

export default inductionHeads

function ordinary({ form, vocab }: InductionHeadsConfig): number {
  return form === 'h3' ? vocab - 2 : vocab - 1
}

function mambaSampler(config: InductionHeadsConfig): Sampler {
  const trigger = ordinary(config)
  const last = config.length - 1
  return (rng, row) => {
    for (let t = 0; t < last; t++) row.inputs[t] = rng.int(0, trigger)
    const at = rng.int(0, last - 1)
    row.inputs[at] = trigger
    row.inputs[last] = trigger
    ask(row, last, row.inputs[at + 1] as number, at + 1)
  }
}

function h3Sampler(config: InductionHeadsConfig): Sampler {
  const { length, triggers, copied } = config
  const trigger = ordinary(config)
  const end = length - copied
  return (rng, row) => {
    for (let t = 0; t < end; t++) row.inputs[t] = rng.int(0, trigger)
    const places = triggerPlaces(rng, rng.uniform() < 0.5 ? 1 : triggers, end - (1 + copied), copied)
    const first = places[0] as number
    const answer = row.inputs.slice(first + 1, first + 1 + copied)
    for (const at of [...places, end]) {
      row.inputs[at] = trigger
      // the last answer token is due, never shown, so the final copy stops one short of the row's end
      row.inputs.set(answer.subarray(0, length - at - 1), at + 1)
    }
    const nearest = places.at(-1) as number
    for (const [i, token] of answer.entries()) ask(row, end + i, token, nearest + 1 + i)
  }
}

/** Sorted draws below `room`, dropping each that would overlap the m tokens after the last one kept. */
function triggerPlaces(rng: Rng, count: number, room: number, copied: number): number[] {
  const drawn = Array.from({ length: count }, () => rng.int(0, room)).sort((a, b) => a - b)
  const kept: number[] = []
  for (const at of drawn) if (kept.length === 0 || at - (kept.at(-1) as number) > copied) kept.push(at)
  return kept
}
