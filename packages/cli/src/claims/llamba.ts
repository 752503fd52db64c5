import type { ClaimRun } from './claim.js'
import { comparison } from './comparison.js'
import { byRows, onNovel, rowsSetting } from './on-novel.js'

const decoder = { nHeads: 4, nKvHeads: 4, dHead: 16, dInner: 172 }

const taught = (label: string, distils: ClaimRun['distils'] & object): ClaimRun => ({
  ...byRows(onNovel(label, 'llamba', { nHeads: 4, nGroups: 4, dHead: 16, dState: 16, dInner: 172, normEps: 1e-6 })),
  startsFrom: { paper: 'transformer', config: { dModel: 64, nLayers: 2, ...decoder } },
  distils,
})

/** Bick et al. 2025, arXiv:2502.14458; Bick et al. 2024, arXiv:2408.10189, section 5. */
export const llamba = comparison({
  key: 'llamba',
  papers: ['llamba'],
  title: 'A transformer distilled in three stages',
  sentence:
    'Taught by a transformer in three stages, mixing matrices, outputs of layers, scores, Llamba models the novel with a lower loss than taught by scores alone for as many steps.',
  setting: `Two layers, 64 wide, teacher and students alike but for their mixers, two seeds. The teacher: ${rowsSetting}; then as many steps of teaching, a third of them for each stage. What teacher and student have in common is copied first. The papers teach 1B to 8B parameters with 8 to 12 billion tokens.`,
  measure: 'lossNats',
  seeds: [0, 1],
  equal: { what: 'parameters', within: 0 },
  runs: [taught('three stages', ['mixing', 'outputs', 'scores']), taught('scores alone', ['scores'])],
  holds: (of) => of('three stages') < of('scores alone'),
})
