import { type Claim, type ClaimRow, judge, type Measure, type RunResult, rowsOf } from './claim.js'

/** A claim with what is known of it. */
export interface Known {
  readonly claim: Claim
  readonly results: readonly RunResult[]
}

/** Each measure with its unit, for the head of a column. */
export const measureNames: Record<Measure, string> = {
  lossNats: 'loss (nats)',
  tokenAcc: 'accuracy',
  seqAcc: 'whole rows',
  seconds: 'seconds',
  peakBytes: 'most bytes within a step',
}

/** A figure of a measure as people read it. */
export function shown(measure: Measure, value: number): string {
  if (measure === 'seconds') return `${value.toFixed(1)} s`
  if (measure === 'peakBytes') return `${(value / 2 ** 20).toFixed(1)} MiB`
  return measure === 'lossNats' ? value.toFixed(4) : `${(100 * value).toFixed(1)} %`
}

/** In one word: passes, fails, or how much is missing. */
export function standing({ claim, results }: Known): string {
  const verdict = judge(claim, rowsOf(claim, results))
  if (verdict !== null) return verdict.pass ? 'passes' : 'fails'
  return `${results.length} of ${claim.runs.length * claim.seeds.length} runs`
}

/** docs/claims.md: every claim, whether it has been run or not. */
export function page(known: readonly Known[]): string {
  const lines = [
    '# Claims',
    '',
    'Printed by `mneme claim`: `--all` runs what has no result yet and writes this page, `--check` tells whether it is fresh.',
    'Each paper is held to the smallest experiment that its claim can fail in. Figures are of the test split: the median',
    'over seeds, and in brackets the lowest and the highest. Bytes are those of the state of one row. Seconds are of',
    'training, on the machine that ran it, which may have had other work. Results as numbers: `docs/claims/*.json`.',
    '',
    '| claim | what is judged | |',
    '| --- | --- | --- |',
    ...known.map((one) => `| [${one.claim.key}](#${one.claim.key}) | ${one.claim.sentence} | ${standing(one)} |`),
    '',
    ...known.flatMap(section),
  ]
  return `${lines.join('\n').trimEnd()}\n`
}

function section({ claim, results }: Known): string[] {
  const rows = rowsOf(claim, results)
  const verdict = judge(claim, rows)
  const missing = claim.runs.length * claim.seeds.length - results.length
  const word =
    verdict === null
      ? `**Not judged**: ${missing} runs are missing.`
      : `**${verdict.pass ? 'Passes' : 'Fails'}**: ${verdict.because}`
  return [
    `## ${claim.key}`,
    '',
    `${claim.title}. ${claim.sentence}`,
    '',
    claim.setting,
    '',
    word,
    '',
    ...(rows.length === 0 ? [] : [...tableLines(claim, rows), '']),
    ...(claim.figure && rows.length > 0 ? [`![${claim.title}](claims/${claim.key}.svg)`, ''] : []),
  ]
}

/** The table of a claim, as Markdown. */
export function tableLines({ measure }: Claim, rows: readonly ClaimRow[]): string[] {
  return [
    `| run | paper | ${measureNames[measure]} | seeds | parameters | state bytes | tokens | seconds |`,
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows.map((row) => {
      const [middle, low, high] = [row.median, row.low, row.high].map((value) => shown(measure, value))
      const spread = row.seeds > 1 ? `${middle} (${low} to ${high})` : middle
      return `| ${[row.label, `\`${row.paper}\``, spread, row.seeds, row.parameters, row.stateBytes, row.tokens, row.seconds.toFixed(0)].join(' | ')} |`
    }),
  ]
}
