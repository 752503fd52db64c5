import type { DecodingRow } from './decoding.js'
import type { LengthRow } from './lengths.js'
import type { Machine, Timing } from './measure.js'
import type { MixerRow } from './mixers.js'
import type { OpRow } from './ops.js'
import type { ProductRow } from './products.js'
import type { StreamRow } from './streaming.js'
import type { DefaultRun } from './training.js'

/** All that one run of the bench has measured. */
export interface Results {
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
  readonly lengths: readonly LengthRow[]
  /** A step of a language model, ours and that of PyTorch's GRU. */
  readonly model?: { readonly minGru: Timing; readonly torchGruMs: number | null }
  readonly decoding: readonly DecodingRow[]
  readonly mixers: readonly MixerRow[]
  readonly products: readonly ProductRow[]
}

const ms = ({ medianMs, spreadMs }: Timing): string => `${medianMs.toPrecision(3)} ± ${spreadMs.toPrecision(2)} ms`

/** The tables of docs/benchmarks.md. */
export function markdown({
  command,
  machine: here,
  backend,
  ops,
  torch,
  layer,
  run,
  streams,
  lengths,
  model,
  decoding,
  mixers,
  products,
}: Results): string {
  const lines = [
    '# Benchmarks',
    '',
    `Printed by \`${command}\`. Times are medians with the width of the middle half; ratios compare within this one run.`,
    '',
    `Backend ${backend}; Node ${here.node}; ${here.cpu}, ${here.cores} cores; copying runs at ${here.copyGBs.toFixed(1)} GB/s (read plus written, one thread), a product of 512 x 512 matrices at ${here.matMulGflops.toFixed(0)} GFLOP/s. PyTorch: ${torch ?? 'none here'}${torch === null ? '' : ', one thread'}.`,
    '',
  ]
  if (ops.length > 0) lines.push(...opLines(ops))
  if (products.length > 0) lines.push(...productLines(products))
  if (layer) lines.push(...layerLines(layer))
  if (model) lines.push(...modelLines(model))
  if (mixers.length > 0) lines.push(...mixerLines(mixers))
  if (lengths.length > 0) lines.push(...lengthLines(lengths))
  if (run) lines.push(...runLines(run))
  if (decoding.length > 0) lines.push(...decodingLines(decoding))
  if (streams.length > 0) lines.push(...streamLines(streams))
  return `${lines.join('\n').trimEnd()}\n`
}

function opLines(rows: readonly OpRow[]): string[] {
  return [
    '## Ops',
    '',
    'Against the same maths composed of tfjs ops on the same backend (log-step scans, blocks of matrix products), against a loop of tfjs ops over tokens, against PyTorch (loops for recurrences), and against jax-js on WebAssembly where it is installed and has what the op needs (it has no scan). Bytes and FLOPs are those the op must move and do in its forward pass.',
    '',
    '| op | sizes | pass | kernel | composed | loop | PyTorch | jax-js | GB/s | GFLOP/s |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows.map(opLine),
    '',
  ]
}

/** A peer's time and how many times ours it is. */
const beside = (medianMs: number | undefined | null, ours: Timing): string =>
  medianMs === undefined || medianMs === null
    ? ''
    : `${medianMs.toPrecision(3)} ms (${(medianMs / ours.medianMs).toPrecision(3)}x)`

function opLine({ op, dims, pass, ours, composed, loop, torchMs, jaxMs, ...rates }: OpRow): string {
  const [bytes, flops] =
    pass === 'forward' ? [rates.gigabytesPerSecond.toFixed(1), rates.gigaflops.toFixed(1)] : ['', '']
  const sizes = Object.entries(dims)
    .map(([axis, size]) => `${axis}=${size}`)
    .join(' ')
  const peers = [composed.medianMs, loop?.medianMs, torchMs, jaxMs].map((medianMs) => beside(medianMs, ours))
  return `| ${[op, sizes, pass, ms(ours), ...peers, bytes, flops].join(' | ')} |`
}

function productLines(rows: readonly ProductRow[]): string[] {
  return [
    '## Matrix products',
    '',
    'Our `matMul` and the one that tfjs brings for WebAssembly, each called as a kernel, on shapes of training and of decoding.',
    '',
    '| product | ours | GFLOP/s | tfjs |',
    '| --- | --- | --- | --- |',
    ...rows.map(({ product, gigaflops, ours, tfjs }) => {
      return `| ${product} | ${ms(ours)} | ${gigaflops.toFixed(1)} | ${beside(tfjs.medianMs, ours)} |`
    }),
    '',
  ]
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

function modelLines({ minGru, torchGruMs }: NonNullable<Results['model']>): string[] {
  return [
    '## One training step of a language model',
    '',
    'Two layers, 128 wide, B = 8, T = 256, 64 words, forward, backward and AdamW update.',
    '',
    '| model | time |',
    '| --- | --- |',
    `| minGRU | ${ms(minGru)} |`,
    `| nn.GRU in PyTorch, one thread | ${torchGruMs === null ? 'not measured' : `${torchGruMs.toPrecision(3)} ms (${(torchGruMs / minGru.medianMs).toPrecision(3)}x)`} |`,
    '',
  ]
}

function lengthLines(rows: readonly LengthRow[]): string[] {
  const us = (timing: Timing, T: number): string => ((1000 * timing.medianMs) / T).toPrecision(3)
  return [
    '## Long sequences',
    '',
    'One row, four heads, keys and values 32 wide. Microseconds a token; most megabytes of tensors in forward with backward.',
    '',
    '| op | tokens | forward | forward and backward | memory |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map(
      (r) =>
        `| ${r.op} | ${r.length} | ${us(r.forward, r.length)} | ${us(r.both, r.length)} | ${r.peakMB.toFixed(1)} MB |`,
    ),
    '',
  ]
}

function mixerLines(rows: readonly MixerRow[]): string[] {
  const us = (timing: Timing): string => ((1000 * timing.medianMs) / (4 * 256)).toPrecision(3)
  const lengths = (rows[0] as MixerRow).states.map(({ tokens }) => tokens)
  return [
    '## Mixers',
    '',
    'One layer of each, 64 wide, 4 rows of 256 tokens: microseconds a token, and bytes of the state of one row.',
    '',
    `| mixer | parameters | forward | forward and backward | ${lengths.map((n) => `state after ${n} tokens`).join(' | ')} |`,
    `| --- | --- | --- | --- | ${lengths.map(() => '---').join(' | ')} |`,
    ...rows.map(
      (r) =>
        `| ${[r.mixer, r.parameters, us(r.forward), us(r.both), ...r.states.map(({ bytes }) => bytes ?? 'grows')].join(' | ')} |`,
    ),
    '',
  ]
}

function decodingLines(rows: readonly DecodingRow[]): string[] {
  return [
    '## Decoding',
    '',
    'One token of a session, four layers, 256 wide, beside the time that reading the weights once takes at the copy bandwidth.',
    '',
    '| model | parameters | a token | weights read once | ratio |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map(
      (r) =>
        `| ${r.paper} | ${r.parameters} | ${r.tokenUs.toFixed(0)} µs | ${r.weightsUs.toFixed(0)} µs | ${(r.tokenUs / r.weightsUs).toFixed(1)} |`,
    ),
    '',
  ]
}
