import { writeFile } from 'node:fs/promises'
import { selfTest } from '@mneme/core-tensor'
import '@tensorflow/tfjs-backend-cpu'
import { type Machine, machine, type Timing } from './bench/measure.js'
import { benchOps, type OpRow } from './bench/ops.js'
import { type StreamRow, stream } from './bench/streaming.js'
import { torchPeer } from './bench/torch.js'
import { type DefaultRun, defaultRun, minGruAgainstGru } from './bench/training.js'
import { releaseDevice, useDevice } from './device.js'

export interface BenchFlags {
  readonly device: string
  readonly json: boolean
  /** Where the tables go, as Markdown. */
  readonly write?: string
  readonly quick: boolean
}

interface Results {
  /** What a reader types to have these tables printed again. */
  readonly command: string
  readonly machine: Machine
  readonly backend: string
  readonly ops: readonly OpRow[]
  /** Version of the PyTorch that ran beside, if any. */
  readonly torch: string | null
  readonly layer?: { readonly minGru: Timing; readonly gru: Timing | null }
  readonly run?: DefaultRun
  readonly streams: readonly StreamRow[]
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

async function measure(backend: string, op: string | undefined, quick: boolean): Promise<Omit<Results, 'command'>> {
  const ops = await benchOps(op)
  const torch = await withTorch(ops, quick)
  const here = { machine: await machine(), backend, ops: torch.rows, torch: torch.version }
  if (op !== undefined) return { ...here, streams: [] }
  const last = quick ? 1_000 : 100_000
  const small = { dModel: 64, nLayers: 2 }
  return {
    ...here,
    layer: await minGruAgainstGru(),
    run: quick ? await defaultRun(200, [100, 200]) : await defaultRun(3000, [100, 200, 500, 1000, 1500, 2000, 3000]),
    streams: [
      await stream('min-rnn', small, [100, last]),
      await stream('gated-deltanet', { ...small, nHeads: 2, nVHeads: 2, dHead: 16, dInner: 128 }, [
        100,
        quick ? last : 20_000,
      ]),
    ],
  }
}

const ms = ({ medianMs, spreadMs }: Timing): string => `${medianMs.toPrecision(3)} ± ${spreadMs.toPrecision(2)} ms`

function markdown({ command, machine: here, backend, ops, torch, layer, run, streams }: Results): string {
  const lines = [
    '# Benchmarks',
    '',
    `Printed by \`${command}\`. Times are medians with the width of the middle half; ratios compare within this one run.`,
    '',
    `Backend ${backend}; Node ${here.node}; ${here.cpu}, ${here.cores} cores; copying runs at ${here.copyGBs.toFixed(1)} GB/s (read plus written, one thread), a product of 512 x 512 matrices at ${here.matMulGflops.toFixed(0)} GFLOP/s. PyTorch: ${torch ?? 'none here'}${torch === null ? '' : ', one thread'}.`,
    '',
    '## Ops',
    '',
    'Against the same maths composed of tfjs ops on the same backend (log-step scans, blocks of matrix products), against a loop of tfjs ops over tokens, and against PyTorch (loops for recurrences). Bytes and FLOPs are those the op must move and do in its forward pass.',
    '',
    '| op | sizes | pass | kernel | composed | loop | PyTorch | GB/s | GFLOP/s |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...ops.map(opLine),
    '',
  ]
  if (layer) lines.push(...layerLines(layer))
  if (run) lines.push(...runLines(run))
  if (streams.length > 0) lines.push(...streamLines(streams))
  return `${lines.join('\n').trimEnd()}\n`
}

/** A peer's time and how many times ours it is. */
const beside = (medianMs: number | undefined | null, ours: Timing): string =>
  medianMs === undefined || medianMs === null
    ? ''
    : `${medianMs.toPrecision(3)} ms (${(medianMs / ours.medianMs).toPrecision(3)}x)`

function opLine({ op, dims, pass, ours, composed, loop, torchMs, ...rates }: OpRow): string {
  const [bytes, flops] =
    pass === 'forward' ? [rates.gigabytesPerSecond.toFixed(1), rates.gigaflops.toFixed(1)] : ['', '']
  const sizes = Object.entries(dims)
    .map(([axis, size]) => `${axis}${size}`)
    .join(' ')
  const peers = [composed.medianMs, loop?.medianMs, torchMs].map((medianMs) => beside(medianMs, ours))
  return `| ${[op, sizes, pass, ms(ours), ...peers, bytes, flops].join(' | ')} |`
}

function layerLines({ minGru, gru }: NonNullable<Results['layer']>): string[] {
  return [
    '## One training step of a recurrent layer',
    '',
    '64 wide, B = 8, T = 256, forward, backward and Adam update.',
    '',
    '| layer | time | ratio |',
    '| --- | --- | --- |',
    `| minGRU | ${ms(minGru)} | 1 |`,
    gru === null
      ? '| tf.layers.gru | not installed | |'
      : `| tf.layers.gru | ${ms(gru)} | ${(gru.medianMs / minGru.medianMs).toFixed(1)} |`,
    '',
  ]
}

function runLines({ parameters, stepsPerSecond, tokensPerSecond, curve, tensors }: DefaultRun): string[] {
  return [
    '## The first experiment',
    '',
    `minGRU, ${parameters} parameters, on the novel, characters, 16 rows of 64: ${stepsPerSecond.toFixed(1)} steps/s, ${Math.round(tokensPerSecond)} tokens/s. Live tensors after step 2: ${tensors[0]}, after the last: ${tensors[1]}.`,
    '',
    '| step | seconds of training | validation loss (nats a character) |',
    '| --- | --- | --- |',
    ...curve.map(({ step, seconds, lossNats }) => `| ${step} | ${seconds.toFixed(1)} | ${lossNats.toFixed(3)} |`),
    '',
  ]
}

function streamLines(streams: readonly StreamRow[]): string[] {
  return [
    '## Streaming',
    '',
    'Decoding token by token.',
    '',
    '| model | tokens | state | live tensors | process | a token |',
    '| --- | --- | --- | --- | --- | --- |',
    ...streams.flatMap(({ paper, points }) =>
      points.map(
        (p) =>
          `| ${paper} | ${p.tokens} | ${p.stateBytes} bytes | ${p.tensors} | ${p.processMB.toFixed(0)} MB | ${p.microsecondsPerToken.toFixed(0)} µs |`,
      ),
    ),
    '',
  ]
}
