import type { Experiment } from '@mneme/training'
import { sliders } from '../../experiment/sliders'
import type { Lesson } from './lesson'

const run = (
  paper: string,
  config: Experiment['config'],
  task: string,
  taskConfig: Experiment['taskConfig'],
  train: Experiment['train'],
): Experiment => ({ paper, config, task, taskConfig, train, seed: 0 })

const recall = { vocab: 64, length: 32, pairs: 4 }
const minutes = { steps: 2000, batch: 32, lr: 4e-3, evalEvery: 50, evalBatches: 4 }

export const lessons: readonly Lesson[] = [
  {
    key: 'what-a-state-is',
    title: 'What a state is',
    equation: 'h_t = a \\, h_{t-1} + x_t',
    before: [
      'A model that reads one token at a time has to carry something from each token to the next. That is its state. All it will ever know of the past has to be in there.',
      'The simplest state is one number h. At every token a share a of it is kept, and what the token brings is added. With a near 1 an old token is still heard long after; with a near 0 the state is little more than the last token. A recurrent layer is many such numbers side by side, each with its own a.',
      'Attention does it differently: it keeps a key and a value of every token, and looks at all of them again each time. Nothing is lost, but the state grows with every token that is read.',
    ],
    sliders: sliders['what-a-state-is'],
    after: [
      'Move a to 1: the state never forgets, and so can no longer tell when something came. Move it to 0.5: after seven tokens less than one percent is left. The second picture shows what the state of two real models weighs. One line is flat, and that is the promise of a recurrent model: the millionth token costs as much as the first.',
    ],
    experiment: {
      title: 'Let minGRU and a transformer copy after a delay',
      runs: ['min-rnn', 'transformer'].map((paper) =>
        run(paper, { dModel: 32 }, 'selective-copying', { vocab: 10, length: 40, data: 4 }, minutes),
      ),
    },
  },
  {
    key: 'why-decay',
    title: 'Why decay',
    equation: 'S_t = \\alpha \\, S_{t-1} + k_t v_t^\\top, \\qquad \\hat v = S_t^\\top k',
    before: [
      'A state can be a matrix. To store that the key k goes with the value v, their outer product is added to it. To ask for k, the matrix is multiplied by k, and out comes v, provided that no other key looks like k.',
      'But a matrix of 16 by 16 has room for about 16 keys that do not disturb each other. Each pair that is added is also heard, faintly, whenever another is asked for. After a few dozen pairs the answers drown in that noise: the state is full.',
      'Decay makes room. Before every token, all that is stored is multiplied by α, a little below 1. Old pairs fade, and with them their noise. What is recent is recalled better, at the price of what is old. Gated models let every token choose its own α.',
    ],
    sliders: sliders['why-decay'],
    after: [
      'The picture stores random pairs, then asks for each. At α = 1 every pair is recalled about equally badly. Lower α slowly: the newest pairs rise, the oldest sink. There is no best α for all tasks, only one that fits how far back the answer tends to lie.',
    ],
    experiment: {
      title: 'Let gated linear attention and a retention with fixed decay recall pairs',
      runs: ['gla', 'retnet'].map((paper) => run(paper, { dModel: 32 }, 'mqar', recall, minutes)),
    },
  },
  {
    key: 'delta-rule',
    title: 'The delta rule',
    equation: 'S_t = S_{t-1} + \\beta \\, k_t \\left( v_t - S_{t-1}^\\top k_t \\right)^\\top',
    before: [
      'Adding k vᵀ to a matrix state has a flaw that decay does not mend. Store ‘the key is red’, and later ‘the key is blue’: the state now answers red plus blue. Nothing was replaced, since a sum cannot take anything back.',
      'The delta rule asks first. It reads what the state would answer for k, subtracts that from the value that is to be stored, and writes only the difference. Where the answer is right already, nothing is written. Where another value was stored under the same key, it is replaced.',
      'β says how much of the error is corrected: 1 replaces the old value, 0 leaves it, values between mix the two. It is the rule by which Widrow and Hoff trained linear units in 1960, with one step of gradient descent at every token.',
    ],
    sliders: sliders['delta-rule'],
    after: [
      'Eight pairs are stored, then the first four keys get new values. The bars show how well the new values are recalled; below 0 the old value is heard louder than the new one is. Make the keys more alike, and both suffer, since what is written under one key is then heard under all. Set β to 0.5: the delta rule takes back the old value only by half.',
    ],
    experiment: {
      title: 'Let DeltaNet and gated linear attention recall pairs',
      runs: ['deltanet', 'gla'].map((paper) => run(paper, { dModel: 32 }, 'mqar', recall, minutes)),
    },
  },
  {
    key: 'segment-memory',
    title: 'Segment memory',
    equation: '[\\,\\cdot\\,, M_{s+1}] = \\mathrm{Transformer}([M_s, x_s, M_s])',
    before: [
      'A transformer reads every token again for each new one, which costs more and more. A way out is to cut the text into segments, to attend within a segment only, and to hand a short note from each segment to the next.',
      'In the recurrent memory transformer the note is a handful of memory tokens. They stand in front of the segment, where its tokens read them, and behind it, where they read the segment and write themselves anew. All that passes from one segment to the next has to go through them.',
      'The price is a bottleneck. The gain is that work and state no longer grow: within a segment keys pile up, at its end they are dropped, and only the memory tokens stay.',
    ],
    sliders: sliders['segment-memory'],
    after: [
      'The first picture is the state of this model, token by token, and of a transformer of its size. The second asks a model with random weights how strongly its last output depends on each token before, by the gradient, on a logarithmic scale. Tokens of the last segment are seen directly; of all before its border the last output hears only what the memory tokens let through, before anything is learnt.',
    ],
    experiment: {
      title: 'Let a recurrent memory transformer copy across segments',
      runs: [run('rmt', { dModel: 32, segment: 10, memoryTokens: 4 }, 'copying', { length: 30, data: 4 }, minutes)],
    },
  },
  {
    key: 'learning-at-test-time',
    title: 'Learning at test time',
    equation:
      'S_t = \\eta \\, S_{t-1} - \\theta \\, \\nabla \\ell(M_{t-1}; k_t, v_t), \\qquad M_t = (1 - \\alpha) M_{t-1} + S_t',
    before: [
      'A memory can be a small network M that is trained while the text is read. Each token brings a key and a value. The loss is how far M(k) is from v, and one step of gradient descent makes the network remember. No label is needed, and nobody waits for training to end: it goes on as long as there is text.',
      'The size of the loss before the step is the surprise. What the memory knew already is not surprising and changes little; what it had never seen leaves a deep mark. Momentum η lets a surprise be felt for some tokens after, and the forgetting rate α clears out what was learnt long ago.',
      'With a linear memory, no momentum and no forgetting this is the delta rule, which is where the last lesson ended.',
    ],
    sliders: sliders['learning-at-test-time'],
    after: [
      'Eight pairs come round and round. After half of the time the values are exchanged for others. Watch the surprise fall, leap up at the change, and fall again. Too large a step with momentum makes it swing; too much forgetting, and the memory is surprised for ever.',
    ],
    experiment: {
      title: 'Let Titans recall pairs with its memory alone',
      runs: [run('titans', { dModel: 32 }, 'mqar', recall, minutes)],
    },
  },
]

export function findLesson(key: string): Lesson | undefined {
  return lessons.find((lesson) => lesson.key === key)
}
