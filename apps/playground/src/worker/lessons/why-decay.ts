import { gatedLinearAttention } from '@mneme/core-tensor'
import { fill } from '@tensorflow/tfjs-core'
import type { LessonAnswer, SliderValues } from '../../view/lessons/lesson'
import { directions, likeness, oneHead, setting } from './draw'

const width = 16

/** Pairs are stored in a matrix state, then each key is asked for. */
export async function compute(values: SliderValues): Promise<LessonAnswer> {
  const [decay, pairs] = [setting(values, 'decay'), setting(values, 'pairs')]
  const [keys, stored] = [directions(pairs, width, 1), directions(pairs, width, 2)]
  const k = oneHead(keys)
  const logDecay = fill([1, 1, 1, 1], Math.log(decay))
  const { state } = gatedLinearAttention({ q: k, k, v: oneHead(stored), logDecay }, { scale: 1 })
  // asked without writing: keys of nothing, and no decay
  const { o } = gatedLinearAttention({ q: k, k: fill(k.shape, 0), v: fill(k.shape, 0), state }, { scale: 1 })
  const read = await o.data()
  const recalled = stored.map((v, i) => likeness(read.slice(i * width, (i + 1) * width), v)).reverse()
  const matrix = Array.from(await state.data())
  const mean = (list: readonly number[]): string =>
    (list.reduce((total, x) => total + x, 0) / Math.max(1, list.length)).toFixed(2)
  return {
    figures: [
      {
        form: 'lines',
        title: 'How well each pair is recalled',
        along: 'pairs ago',
        unit: 'likeness to what was stored',
        series: [{ name: 'likeness', values: recalled }],
        names: recalled.map((_, i) => String(i)),
        bars: true,
        low: Math.min(0, ...recalled),
        high: 1,
      },
      {
        form: 'map',
        title: 'The state after all pairs',
        rows: width,
        columns: width,
        values: matrix,
        axes: { rows: 'key', columns: 'value' },
      },
    ],
    summary: `The newest eight pairs are recalled with a likeness of ${mean(recalled.slice(0, 8))}, the oldest eight with ${mean(recalled.slice(-8))}; 1 is perfect.`,
  }
}
