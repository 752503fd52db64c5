import { Rng } from '@mneme/core-tensor'
import { influence } from '@mneme/core-tensor/inspect/influence'
import { createModel } from '@mneme/models'
import type { LessonAnswer, SliderValues } from '../../view/lessons/lesson'
import { setting } from './draw'

const T = 64
const vocabulary = 32

/** True sizes of states token by token, and how a random model's last output depends on earlier segments. */
export async function compute(values: SliderValues): Promise<LessonAnswer> {
  const [segment, memoryTokens] = [setting(values, 'segment'), setting(values, 'memory')]
  const size = { vocabulary, dModel: 16, nLayers: 2, nHeads: 2, seed: 1 }
  const positions = segment + 2 * memoryTokens
  const rmt = await createModel('rmt', { ...size, dInner: 32, initStd: 0.25, positions, segment, memoryTokens })
  const plain = await createModel('transformer', { ...size, nKvHeads: 2, dHead: 8, dInner: 32 })
  const bytes = (model: typeof rmt): number[] => Array.from({ length: T }, (_, t) => model.stateBytes(t + 1) / 1024)
  const rng = new Rng(2)
  const ids = Array.from({ length: T }, () => rng.int(0, vocabulary))
  const fields = await influence(rmt, ids, [T - 1])
  const lengths = fields?.[0]?.lengths ?? new Float32Array(T)
  const top = lengths.reduce((a, b) => Math.max(a, b), 0)
  const answer: LessonAnswer = {
    figures: [
      {
        form: 'lines',
        title: 'Size of the state',
        along: 'token',
        unit: 'KB',
        series: [
          { name: 'with segments and memory', values: bytes(rmt) },
          { name: 'transformer', values: bytes(plain) },
        ],
        low: 0,
      },
      {
        form: 'lines',
        title: 'Influence of each token on the last output',
        along: 'token',
        unit: 'powers of ten, 0 the strongest',
        // what is less than a millionth is drawn as that
        series: [{ name: 'influence', values: Array.from(lengths, (x) => Math.log10(Math.max(x / top, 1e-6))) }],
        high: 0,
        low: -6,
      },
    ],
    summary: `${Math.ceil(T / segment)} segments of ${segment} tokens; ${memoryTokens} × 16 values pass each border.`,
  }
  rmt.dispose()
  plain.dispose()
  return answer
}
