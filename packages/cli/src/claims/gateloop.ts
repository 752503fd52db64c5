import { comparison } from './comparison.js'
import { novelSetting, onNovel } from './on-novel.js'

const line = (label: string, transition: string, dInner: number) =>
  onNovel(label, 'gateloop', { transition, dInner, nHeads: dInner })

/** Katsch 2023, arXiv:2311.01927, section 5.2: transitions that the token decides. */
export const gateloop = comparison({
  key: 'gateloop',
  papers: ['gateloop'],
  title: 'Transitions that the token decides, on a novel',
  sentence:
    'With transitions that each token decides GateLoop models the novel with a lower loss than without transitions, and complex ones do no worse than real ones.',
  setting: `Two seeds, widths chosen for equal parameters: ${novelSetting}. The paper trains 125M parameters on WikiText-103, and finds no loss without a phase.`,
  measure: 'lossNats',
  seeds: [0, 1],
  equal: { what: 'parameters', within: 0.02 },
  runs: [line('complex', 'complex', 64), line('real', 'real', 74), line('none', 'none', 90)],
  holds: (of) => Math.min(of('complex'), of('real')) < of('none') && of('complex') <= of('real'),
})
