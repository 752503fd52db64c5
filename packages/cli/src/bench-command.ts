import { writeFile } from 'node:fs/promises'
import { selfTest } from '@mneme/core-tensor'
import '@tensorflow/tfjs-backend-cpu'
import { benchDecoding } from './bench/decoding.js'
import { jaxPeer } from './bench/jax.js'
import { benchLengths } from './bench/lengths.js'
import { markdown, type Results } from './bench/markdown.js'
import { machine } from './bench/measure.js'
import { benchMixers } from './bench/mixers.js'
import { benchOps, type OpRow } from './bench/ops.js'
import { benchProducts } from './bench/products.js'
import { stream } from './bench/streaming.js'
import { torchPeer } from './bench/torch.js'
import { defaultRun, languageModelStep, minGruAgainstGru } from './bench/training.js'
import { releaseDevice, useDevice } from './device.js'

export interface BenchFlags {
  readonly device: string
  readonly json: boolean
  /** Where the tables go, as Markdown. */
  readonly write?: string
  readonly quick: boolean
}

/** `mneme bench`: times kernels against their composition, and whole jobs, after every kernel has been found right. */
export async function benchCommand(op: string | undefined, flags: BenchFlags): Promise<number> {
  const device = await useDevice(flags.device)
  const { verdicts } = await selfTest({ fallBack: false })
  const wrong = verdicts.filter(({ verdict }) => verdict === 'differs' || verdict === 'fails')
  if (wrong.length > 0) {
    process.stderr.write(`bench: ${wrong.map((w) => w.op).join(', ')} not right on this device; see mneme selftest.\n`)
    return 1
  }
  const words = [
    op,
    ...(flags.quick ? ['--quick'] : []),
    ...(flags.device === 'auto' ? [] : ['--device', flags.device]),
  ]
  const given = words.filter((word) => word !== undefined).join(' ')
  const command = given === '' ? 'npm run bench' : `npm run bench -- ${given}`
  const results = { command, ...(await measure(device.name, op, flags.quick)) }
  process.stdout.write(flags.json ? `${JSON.stringify(results, null, 2)}\n` : markdown(results))
  if (flags.write !== undefined) await writeFile(flags.write, markdown(results))
  await releaseDevice(device)
  return 0
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

async function measure(backend: string, op: string | undefined, quick: boolean): Promise<Omit<Results, 'command'>> {
  const ops = await benchOps(op)
  const torch = await withTorch(ops, quick)
  const here = { machine: await machine(), backend, ops: await withJax(torch.rows), torch: torch.version }
  if (op !== undefined) return { ...here, streams: [], lengths: [], decoding: [], mixers: [], products: [] }
  const last = quick ? 1_000 : 100_000
  const small = { dModel: 64, nLayers: 2 }
  return {
    ...here,
    products: await benchProducts(),
    layer: await minGruAgainstGru(),
    model: { minGru: await languageModelStep(), torchGruMs: torch.gruModelMs },
    lengths: await benchLengths(quick ? [512, 2048] : [512, 2048, 8192, 16_384]),
    decoding: await benchDecoding(decoders, here.machine.copyGBs),
    mixers: await benchMixers(quick ? [100, 1000] : [100, 100_000]),
    run: quick ? await defaultRun(200, [100, 200]) : await defaultRun(3000, [100, 200, 500, 1000, 1500, 2000, 3000]),
    streams: [
      await stream('min-rnn', small, quick ? [100, last] : [100, 100_000, 1_000_000]),
      await stream('gated-deltanet', { ...small, nHeads: 2, nVHeads: 2, dHead: 16, dInner: 128 }, [
        100,
        quick ? last : 20_000,
      ]),
    ],
  }
}
