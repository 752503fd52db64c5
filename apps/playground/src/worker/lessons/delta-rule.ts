import { deltaRule, gatedLinearAttention } from '@mneme/core-tensor'
import { fill, type Tensor } from '@tensorflow/tfjs-core'
import type { LessonAnswer, SliderValues } from '../../view/lessons/lesson'
import { directions, likeness, oneHead, setting } from './draw'

const width = 16
const pairs = 8
const replaced = 4

/** Pairs are stored, half of them get new values, and both rules are asked for the newest. */
export async function compute(values: SliderValues): Promise<LessonAnswer> {
  const [beta, overlap] = [setting(values, 'beta'), setting(values, 'overlap')]
  const keys = directions(pairs, width, 3, overlap)
  const [first, second] = [directions(pairs, width, 4), directions(replaced, width, 5)]
  const k = oneHead([...keys, ...keys.slice(0, replaced)])
  const v = oneHead([...first, ...second])
  const T = pairs + replaced
  const added = gatedLinearAttention({ q: k, k, v }, { scale: 1 }).state
  const corrected = deltaRule({ q: k, k, v, beta: fill([1, T, 1], beta) }, { scale: 1 }).state
  const wanted = first.map((old, i) => second[i] ?? old)
  const score = async (state: Tensor): Promise<number[]> => {
    const q = oneHead(keys)
    const nothing = fill(q.shape, 0)
    const read = await gatedLinearAttention({ q, k: nothing, v: nothing, state }, { scale: 1 }).o.data()
    return wanted.map((value, i) => {
      const answer = read.slice(i * width, (i + 1) * width)
      const old = i < replaced ? Math.max(0, likeness(answer, first[i] as number[])) : 0
      return likeness(answer, value) - old
    })
  }
  const [sum, delta] = [await score(added), await score(corrected)]
  const mean = (list: readonly number[]): string => (list.reduce((a, b) => a + b, 0) / list.length).toFixed(2)
  const names = keys.map((_, i) => `key ${i + 1}${i < replaced ? ', replaced' : ''}`)
  const bars = (title: string, list: readonly number[]) =>
    ({
      form: 'lines',
      title,
      along: 'pair',
      unit: 'likeness to the newest value, less that to the old',
      series: [{ name: title, values: list }],
      names,
      bars: true,
      low: -1,
      high: 1,
    }) as const
  return {
    figures: [bars('Added up', sum), bars('By the delta rule', delta)],
    summary: `Replaced pairs, on average: ${mean(sum.slice(0, replaced))} when added up, ${mean(delta.slice(0, replaced))} by the delta rule; others: ${mean(sum.slice(replaced))} and ${mean(delta.slice(replaced))}.`,
  }
}
