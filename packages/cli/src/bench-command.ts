import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { allOps, closest, selfTest } from '@mneme/core-tensor'
import '@tensorflow/tfjs-backend-cpu'
import { benchDecoding } from './bench/decoding.js'
import { jaxPeer } from './bench/jax.js'
import { benchLengths } from './bench/lengths.js'
import { markdown, type Results } from './bench/markdown.js'
import { machine } from './bench/measure.js'
import { benchMixers, mixerNames } from './bench/mixers.js'
import { benchOps, type OpRow } from './bench/ops.js'
import { benchProducts } from './bench/products.js'
import { stream } from './bench/streaming.js'
import { torchPeer } from './bench/torch.js'
import { defaultRun, languageModelStep, minGruAgainstGru } from './bench/training.js'
import { releaseDevice, useDevice } from './device.js'
import { UsageError } from './settings.js'

export interface BenchFlags {
  readonly device: string
  readonly json: boolean
  /** Where the tables go, as Markdown. */
  readonly write?: string
  readonly quick: boolean
}

/** `mneme bench`: times kernels against their composition, and whole jobs, after every kernel has been found right. */
export async function benchCommand(name: string | undefined, flags: BenchFlags): Promise<number> {
  const chosen = name === undefined ? null : chosenBy(name)
  if (flags.write !== undefined && !existsSync(dirname(flags.write))) {
    throw new UsageError(`--write ${flags.write}: expected a file in a folder that exists, got none such.`)
  }
  const device = await useDevice(flags.device)
  try {
    const { verdicts } = await selfTest({ fallBack: false })
    const wrong = verdicts.filter(({ verdict }) => verdict === 'differs' || verdict === 'fails')
    if (wrong.length > 0) {
      process.stderr.write(
        `bench: ${wrong.map((w) => w.op).join(', ')} not right on this device; see mneme selftest.\n`,
      )
      return 1
    }
    const words = [
      name?.includes(' ') ? `"${name}"` : name,
      ...(flags.quick ? ['--quick'] : []),
      ...(flags.device === 'auto' ? [] : ['--device', flags.device]),
    ]
    const given = words.filter((word) => word !== undefined).join(' ')
    const command = given === '' ? 'npm run bench' : `npm run bench -- ${given}`
    const results = { command, ...(await measure(device.name, chosen, flags.quick)) }
    process.stdout.write(flags.json ? `${JSON.stringify(results, null, 2)}\n` : markdown(results))
    if (flags.write !== undefined) await writeFile(flags.write, markdown(results))
    return 0
  } finally {
    await releaseDevice(device)
  }
}

/** What one name stands for; an op and a mixer may share theirs. */
interface Chosen {
  readonly op: string | null
  readonly mixer: string | null
  readonly job: JobName | null
}

/** @throws UsageError for a name that nothing has, with all that there are */
function chosenBy(name: string): Chosen {
  const ops = allOps.map(({ spec }) => spec.name)
  const jobNames = Object.keys(jobs)
  const found = {
    op: ops.includes(name) ? name : null,
    mixer: mixerNames.includes(name) ? name : null,
    job: jobNames.includes(name) ? (name as JobName) : null,
  }
  if (Object.values(found).some((one) => one !== null)) return found
  const near = closest(name, [...ops, ...mixerNames, ...jobNames])
  const listed = (of: readonly string[]): string => of.map((one) => (one.includes(' ') ? `"${one}"` : one)).join(', ')
  throw new UsageError(
    [
      `bench: no such op, mixer or job '${name}'.${near === undefined ? '' : ` Did you mean '${near}'?`}`,
      `Jobs: ${listed(jobNames)}.`,
      `Ops: ${listed(ops)}.`,
      `Mixers: ${listed(mixerNames)}.`,
    ].join('\n'),
  )
}

/** PyTorch's times beside ours, where it can be had. */
async function withTorch(
  ops: readonly OpRow[],
  quick: boolean,
): Promise<{ rows: readonly OpRow[]; version: string | null; gruModelMs: number | null }> {
  const forwards = ops.filter(({ pass }) => pass === 'forward')
  const found = await torchPeer({ ops: forwards, slow: !quick, model: !quick })
  if (found === null) return { rows: ops, version: null, gruModelMs: null }
  const rows = ops.map((row) => {
    const times = found.rows[forwards.findIndex(({ op }) => op === row.op)]
    return { ...row, torchMs: (row.pass === 'forward' ? times?.forwardMs : times?.bothMs) ?? null }
  })
  return { rows, version: found.version, gruModelMs: found.gruModelMs }
}

/** jax-js's times beside ours, where it is installed. */
async function withJax(rows: readonly OpRow[]): Promise<readonly OpRow[]> {
  const found = await jaxPeer(rows.map(({ op }) => op))
  return rows.map((row) => {
    const times = found?.[row.op]
    return { ...row, jaxMs: (row.pass === 'forward' ? times?.forward : times?.both)?.medianMs ?? null }
  })
}

/** Widths inside that a model 256 wide has beside the defaults. */
const decoders = {
  'min-rnn': {},
  mamba: { dInner: 512, dtRank: 16 },
  hgrn: { dInner: 704 },
  rwkv: { dInner: 768, dAttention: 256 },
  retnet: { dInner: 512 },
}

type Part = Partial<Omit<Results, 'command' | 'machine' | 'backend'>>
type JobName = keyof typeof jobs

/** What a job goes by. */
interface Conditions {
  readonly quick: boolean
  readonly torchGruMs: number | null
  readonly copyGBs: number
}

/** What is timed beside single ops, by the names that ask for one alone. */
const jobs = {
  matMul: async () => ({ products: await benchProducts() }),
  layer: async () => ({ layer: await minGruAgainstGru() }),
  model: async ({ torchGruMs }) => ({ model: { minGru: await languageModelStep(), torchGruMs } }),
  lengths: async ({ quick }) => ({ lengths: await benchLengths(quick ? [512, 2048] : [512, 2048, 8192, 16_384]) }),
  decoding: async ({ copyGBs }) => ({ decoding: await benchDecoding(decoders, copyGBs) }),
  mixers: async ({ quick }) => ({ mixers: await benchMixers(stateLengths(quick)) }),
  run: async ({ quick }) => ({
    run: quick ? await defaultRun(200, [100, 200]) : await defaultRun(3000, [100, 200, 500, 1000, 1500, 2000, 3000]),
  }),
  streams: async ({ quick }) => ({
    streams: [
      await stream('min-rnn', small, quick ? [100, 1_000] : [100, 100_000, 1_000_000]),
      await stream('gated-deltanet', { ...small, nHeads: 2, nVHeads: 2, dHead: 16, dInner: 128 }, [
        100,
        quick ? 1_000 : 20_000,
      ]),
    ],
  }),
} satisfies Record<string, (given: Conditions) => Promise<Part>>

const small = { dModel: 64, nLayers: 2 }
const stateLengths = (quick: boolean): number[] => (quick ? [100, 1000] : [100, 100_000])

/** Everything, or what one name stands for. */
async function measure(backend: string, chosen: Chosen | null, quick: boolean): Promise<Omit<Results, 'command'>> {
  const timed = chosen === null || chosen.op !== null ? await benchOps(chosen?.op ?? undefined) : []
  if (chosen?.op && chosen.mixer === null && timed.length === 0) {
    throw new UsageError(
      `bench ${chosen.op}: expected a backend that has a kernel for it, got ${backend}. See --device.`,
    )
  }
  if (chosen?.job === 'matMul' && backend !== 'wasm') {
    throw new UsageError(`bench matMul: expected wasm, where ours stands in for that of tfjs, got ${backend}.`)
  }
  const torch = await withTorch(timed, quick || (chosen !== null && chosen.job !== 'model'))
  const here = await machine()
  const parts: Part[] = []
  for (const name of chosen === null ? (Object.keys(jobs) as JobName[]) : [chosen.job].filter((job) => job !== null)) {
    parts.push(await jobs[name]({ quick, torchGruMs: torch.gruModelMs, copyGBs: here.copyGBs }))
  }
  if (chosen?.mixer) parts.push({ mixers: await benchMixers(stateLengths(quick), chosen.mixer) })
  const nothing = { streams: [], lengths: [], decoding: [], mixers: [], products: [] }
  const all: typeof nothing & Part = Object.assign(nothing, ...parts)
  return { machine: here, backend, ops: await withJax(torch.rows), torch: torch.version, ...all }
}
