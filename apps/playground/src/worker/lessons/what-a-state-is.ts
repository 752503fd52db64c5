import { linearScan } from '@mneme/core-tensor'
import { createModel } from '@mneme/models'
import { fill, tensor } from '@tensorflow/tfjs-core'
import type { LessonAnswer, SliderValues } from '../../view/lessons/lesson'
import { setting } from './draw'

const T = 64
/** Lengths at which states are weighed. */
const lengths = Array.from({ length: 33 }, (_, i) => Math.max(1, 32 * i))

/** A state of one number, hit at every so many tokens; and the true size of two models' states. */
export async function compute(values: SliderValues): Promise<LessonAnswer> {
  const [decay, gap] = [setting(values, 'decay'), setting(values, 'gap')]
  const input = Array.from({ length: T }, (_, t) => (t % gap === 0 ? 1 : 0))
  const { h } = linearScan({ a: fill([1, T, 1], decay), b: tensor(input, [1, T, 1]) })
  const state = Array.from(await h.data())
  const sizes = await Promise.all(
    ['min-rnn', 'transformer'].map(async (paper) => {
      const model = await createModel(paper)
      const bytes = lengths.map((length) => model.stateBytes(length) / 1024)
      model.dispose()
      return { name: paper === 'min-rnn' ? 'minGRU' : 'transformer', values: bytes }
    }),
  )
  const half = decay <= 0 ? 0 : decay >= 1 ? Number.POSITIVE_INFINITY : Math.log(0.5) / Math.log(decay)
  return {
    figures: [
      {
        form: 'lines',
        title: 'A state of one number',
        along: 'token',
        unit: 'h',
        series: [
          { name: 'state h', values: state },
          { name: 'input x', values: input },
        ],
        low: 0,
      },
      {
        form: 'lines',
        title: 'Size of the state of two models',
        along: 'after tokens',
        unit: 'KB',
        series: sizes,
        low: 0,
        names: lengths.map(String),
      },
    ],
    summary: Number.isFinite(half)
      ? `An input is down to one half after ${half.toFixed(1)} tokens.`
      : 'An input is never forgotten, and inputs pile up.',
  }
}
