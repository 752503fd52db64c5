import { MemoryNet } from '@mneme/memory/memory-net'
import { storeAndRead } from '@mneme/memory/surprise'
import { fill, tensor } from '@tensorflow/tfjs-core'
import type { LessonAnswer, SliderValues } from '../../view/lessons/lesson'
import { directions, setting } from './draw'

const width = 16
const pairs = 8
const T = 96

/** A linear memory learns pairs that come round and round; half-way, their values change. */
export async function compute(values: SliderValues): Promise<LessonAnswer> {
  const [step, momentum, forget] = [setting(values, 'step'), setting(values, 'momentum'), setting(values, 'forget')]
  const net = new MemoryNet({ width, depth: 1, expansion: 1, normed: false, lossReduction: 'sum' })
  const keys = directions(pairs, width, 6)
  const [before, after] = [directions(pairs, width, 7), directions(pairs, width, 8)]
  const at = <V>(list: readonly V[], t: number): V => list[t % pairs] as V
  const tokens = Array.from({ length: T }, (_, t) => t)
  const sequence = (vectors: readonly (readonly number[])[]) => tensor(vectors.flat(), [1, T, width])
  const k = sequence(tokens.map((t) => at(keys, t)))
  const gate = (value: number) => fill([1, T, 1], value)
  const { loss, state } = storeAndRead(
    net,
    {
      weights: [fill([1, width, width], 0)],
      momentum: momentum > 0 ? [fill([1, width, width], 0)] : null,
      point: null,
      filled: 0,
    },
    {
      q: k,
      k,
      v: sequence(tokens.map((t) => at(t < T / 2 ? before : after, t))),
      step: gate(step),
      logDecay: gate(Math.log(1 - forget)),
      logMomentum: momentum > 0 ? gate(Math.log(momentum)) : null,
    },
    // a chunk of one token is the exact recurrence
    1,
  )
  const surprise = Array.from(await loss.data())
  const weights = Array.from(await (state.weights[0] as typeof loss).data())
  const mean = (from: number): number => surprise.slice(from, from + pairs).reduce((a, b) => a + b, 0) / pairs
  const shown = (value: number): string => (value < 1000 ? value.toFixed(3) : value.toExponential(1))
  return {
    figures: [
      {
        form: 'lines',
        title: 'Surprise',
        along: 'token',
        unit: 'loss before it is stored',
        series: [{ name: 'surprise', values: surprise }],
        low: 0,
      },
      {
        form: 'map',
        title: 'Weights of the memory at the end',
        rows: width,
        columns: width,
        values: weights,
        axes: { rows: 'key', columns: 'value' },
      },
    ],
    summary: `Mean surprise of a round: ${shown(mean(0))} at first, ${shown(mean(T / 2 - pairs))} before the change, ${shown(mean(T / 2))} right after, ${shown(mean(T - pairs))} at the end.`,
  }
}
