import type { ClaimRun } from './claim.js'

type Config = Readonly<Record<string, unknown>>

const steps = '800 steps of 16 rows of 64 characters of the novel'

/** What lines on the novel have in common, for the words of a claim. */
export const novelSetting = `${steps}, a state that does not grow carried from row to row, one learning rate`

/** The same of lines that read each row by itself. */
export const rowsSetting = `${steps}, each read by itself, one learning rate`

/** A model of two layers, 64 wide, on characters of the novel, small enough for a minute. */
export const onNovel = (label: string, paper: string, config: Config = {}): ClaimRun => ({
  label,
  paper,
  config: { dModel: 64, nLayers: 2, ...config },
  task: 'novel',
  taskConfig: {},
  train: { steps: 800, batch: 16, length: 64, lr: 3e-3, evalEvery: 0, evalBatches: 32 },
})

/** The same line with each row read by itself: a state that forgets nothing grows stale if it is carried on and on. */
export const byRows = (line: ClaimRun): ClaimRun => ({ ...line, train: { ...line.train, carryState: false } })

/** Attention through a window of 64, of 110,000 parameters. */
export const windowOnNovel = onNovel('transformer', 'transformer', {
  nHeads: 4,
  nKvHeads: 4,
  dHead: 16,
  dInner: 172,
  window: 64,
})

/** Linear attention that forgets nothing, of as many within 2 %. */
export const linearOnNovel = onNovel('linear attention', 'gateloop', {
  dInner: 68,
  nHeads: 4,
  transition: 'none',
  outputGate: false,
  ffMult: 4,
})
