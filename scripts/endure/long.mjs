// npm run long [steps] [tokens]: trains and decodes for long, and says whether tensors and the memory of the process stay
// flat. At the full length it writes docs/long-runs.md and its picture.
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { Session } from '@mneme/core-tensor'
import { useWasm } from '@mneme/kernels-wasm'
import { createModel, loadPaper } from '@mneme/models'
import { loadTask } from '@mneme/tasks'
import { Run, resolveExperiment } from '@mneme/training'
import { memory } from '@tensorflow/tfjs-core'
import { root } from '../setup.mjs'
import { panels } from './panels.mjs'

const full = { steps: 20_000, tokens: 1_000_000 }
const [steps = full.steps, tokens = full.tokens] = process.argv.slice(2).map(Number)
const samples = 200

/** Growth that is noise of the allocator and not a leak: of the last quarter over the second, in bytes. */
const slack = 16 * 2 ** 20

const now = (at) => ({ at, tensors: memory().numTensors, rss: process.memoryUsage().rss })

async function training() {
  const experiment = {
    paper: 'min-rnn',
    config: { dModel: 32, nLayers: 2 },
    task: 'novel',
    train: { steps, batch: 4, length: 32, evalEvery: 0 },
    seed: 1,
  }
  const run = await Run.create(await resolveExperiment(experiment, { loadPaper, loadTask }))
  const seen = []
  let first = 0
  let last = 0
  while (!run.finished) {
    const { step, loss } = await run.advance()
    if (step <= 100) first += loss / Math.min(100, steps)
    if (step > steps - 100) last += loss / Math.min(100, steps)
    if (step % Math.max(1, Math.floor(steps / samples)) === 0) seen.push(now(step))
  }
  run.dispose()
  return { seen, note: `loss ${first.toFixed(2)} over the first 100 steps, ${last.toFixed(2)} over the last` }
}

async function decoding() {
  const model = await createModel('gated-deltanet', { vocabulary: 64, dModel: 32, nLayers: 1, seed: 1 })
  const session = new Session(model, { seed: 1 })
  session.feed([1, 2, 3])
  const seen = []
  let count = 0
  const { stateBytes } = session.report()
  for await (const _ of session.generate({ maxNewTokens: tokens })) {
    count++
    if (count % Math.max(1, Math.floor(tokens / samples)) === 0) seen.push(now(count))
  }
  const report = session.report()
  if (report.stateBytes !== stateBytes)
    throw new Error(`decoding: expected ${stateBytes} bytes of state, got ${report.stateBytes}.`)
  session.dispose()
  model.dispose()
  return {
    seen,
    note: `state ${stateBytes} bytes throughout, ${Math.round(report.decodeTokensPerSecond)} tokens a second`,
  }
}

const mean = (values) => values.reduce((total, v) => total + v, 0) / values.length
const quarter = (values, i) => values.slice((i * values.length) / 4, ((i + 1) * values.length) / 4)

/** Tensors have to be the same at every sample; memory may not grow after the first quarter, in which it warms up. */
function verdict({ seen }) {
  const tensors = new Set(seen.map((s) => s.tensors))
  const rss = seen.map((s) => s.rss)
  const growth = mean(quarter(rss, 3)) - mean(quarter(rss, 1))
  return { flat: tensors.size === 1 && growth < slack, tensors: [...tensors], growth, peak: Math.max(...rss) }
}

const mb = (bytes) => (bytes / 2 ** 20).toFixed(1)

await useWasm()
const parts = [
  { name: 'training', unit: 'steps', of: steps, ...(await training()) },
  { name: 'decoding', unit: 'tokens', of: tokens, ...(await decoding()) },
].map((part) => ({ ...part, ...verdict(part) }))

for (const { name, unit, of, tensors, growth, peak, flat, note } of parts) {
  const said = `${tensors.join(' or ')} tensors, peak ${mb(peak)} MiB, last quarter ${mb(growth)} MiB over the second`
  console.log(`${name}, ${of} ${unit}: ${said}; ${note}. ${flat ? 'Flat.' : 'NOT FLAT.'}`)
}

if (steps === full.steps && tokens === full.tokens) {
  mkdirSync(join(root, 'docs/images'), { recursive: true })
  writeFileSync(join(root, 'docs/images/long-runs.svg'), panels(parts))
  writeFileSync(
    join(root, 'docs/long-runs.md'),
    `# Long runs

Written by \`npm run long\`, on Node ${process.versions.node}, ${cpus()[0]?.model ?? 'unknown processor'}, backend wasm. Memory is the resident set of the whole
process. A run is flat if every sample has the same number of tensors, and the mean of the last quarter is less than
${mb(slack)} MiB over that of the second.

![Tensors and memory over both runs](images/long-runs.svg)

| run | length | tensors | peak memory, MiB | growth, MiB | flat | |
| --- | ---: | ---: | ---: | ---: | --- | --- |
${parts
  .map((p) => {
    const figures = [`${p.of.toLocaleString('en')} ${p.unit}`, p.tensors.join(' or '), mb(p.peak), mb(p.growth)]
    return `| ${p.name} | ${figures.join(' | ')} | ${p.flat ? 'yes' : 'no'} | ${p.note} |`
  })
  .join('\n')}

Training is a minGRU of two layers, 32 wide, on a novel, with carried state; decoding is a Gated DeltaNet of one layer.
`,
  )
}
process.exit(parts.every(({ flat }) => flat) ? 0 : 1)
