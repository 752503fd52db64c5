import {
  type AnyOp,
  allOps,
  type Dims,
  drawInputs,
  type OpExample,
  opKernel,
  Rng,
  registerOpKernel,
  toTensors,
  vjp,
} from '@mneme/core-tensor'
import { getBackend, type Tensor, tensor, tidy } from '@tensorflow/tfjs-core'
import { loops } from './loops.js'
import { type Timing, timed } from './measure.js'

export interface OpRow {
  readonly op: string
  readonly dims: Dims
  readonly pass: 'forward' | 'forward and backward'
  readonly ours: Timing
  /** The same maths composed of tfjs ops on the same backend: the reference without the kernel. */
  readonly composed: Timing
  /** The recurrence step by step, composed of tfjs ops; null for what is no recurrence. */
  readonly loop: Timing | null
  /** PyTorch on one thread, a loop for recurrences; null where there is none or it was not asked. */
  readonly torchMs: number | null
  /** jax-js on WebAssembly; null where it is not installed or cannot say it. */
  readonly jaxMs: number | null
  /** From the op's own cost; forward only. */
  readonly gigabytesPerSecond: number
  readonly gigaflops: number
}

/** Times every op that has a kernel here, or the one named, at its largest example. */
export async function benchOps(only?: string): Promise<OpRow[]> {
  const chosen = allOps.filter(
    ({ spec }) => (only === undefined || spec.name === only) && opKernel(spec.name, getBackend()) !== undefined,
  )
  const rows: OpRow[] = []
  for (const op of chosen) rows.push(...(await benchOp(op, largest(op))))
  return rows
}

/** The example that is of the size people use. */
export const largest = (op: AnyOp): OpExample<unknown> => op.spec.examples.at(-1) as OpExample<unknown>

async function benchOp(op: AnyOp, example: OpExample<unknown>): Promise<OpRow[]> {
  const { name } = op.spec
  const backend = getBackend()
  const inputs = toTensors(drawInputs(op, example, new Rng(0)))
  const attrs = example.attrs ?? {}
  const outputs = Object.values(op(inputs, attrs)) as Tensor[]
  const cotangents = outputs.map((t) => tensor(new Float32Array(t.size).fill(1), t.shape))
  const gradients = Object.keys(op.spec.gradient(...gradientCall(op, inputs, attrs)))
  const by = gradients.map((input) => inputs[input] as Tensor)
  const forward = async (): Promise<void> => {
    const results = Object.values(tidy(() => op(inputs, attrs) as never) as Record<string, Tensor>)
    await settle(results)
  }
  const both = async (): Promise<void> => {
    await settle(tidy(() => vjp(() => Object.values(op(inputs, attrs)) as Tensor[], by, cotangents)))
  }
  const rows: OpRow[] = []
  for (const [pass, f] of [
    ['forward', forward],
    ['forward and backward', both],
  ] as const) {
    if (pass !== 'forward' && by.length === 0) continue
    const ours = await timed(f)
    const composed = await withoutKernels(backend, () => timed(f))
    const recurrence = loops[name]
    const looped = async (): Promise<void> => {
      if (recurrence === undefined) return
      if (pass === 'forward') return settle([tidy(() => recurrence(inputs))])
      const ones = [cotangents[0] as Tensor]
      return settle(tidy(() => vjp(() => [recurrence(inputs)], by, ones)))
    }
    // seconds a run: once is enough
    const loop = recurrence === undefined ? null : await timed(looped, 0)
    const cost = op.spec.cost(example.dims, { ...op.spec.attrs, ...attrs })
    rows.push({
      op: name,
      dims: example.dims,
      pass,
      ours,
      composed,
      loop,
      torchMs: null,
      jaxMs: null,
      gigabytesPerSecond: cost.bytes / ours.medianMs / 1e6,
      gigaflops: cost.flops / ours.medianMs / 1e6,
    })
  }
  for (const t of [...Object.values(inputs), ...outputs, ...cotangents]) t.dispose()
  return rows
}

/** A reference may call other ops: composed of tfjs ops means that none of them has a kernel. */
async function withoutKernels<T>(backend: string, f: () => Promise<T>): Promise<T> {
  const kernels = allOps.map(({ spec }) => [spec.name, opKernel(spec.name, backend)] as const)
  try {
    for (const [name] of kernels) registerOpKernel(name, backend, null)
    return await f()
  } finally {
    for (const [name, kernel] of kernels) registerOpKernel(name, backend, kernel ?? null)
  }
}

function gradientCall(
  op: AnyOp,
  inputs: Record<string, Tensor>,
  attrs: Record<string, unknown>,
): Parameters<AnyOp['spec']['gradient']> {
  const outputs = op(inputs, attrs)
  return [outputs, inputs, outputs, { ...op.spec.attrs, ...attrs }]
}

/** Reads one value of each, so that work queued on a device is done, and frees them. */
async function settle(tensors: readonly Tensor[]): Promise<void> {
  if (getBackend() === 'webgpu') await Promise.all(tensors.map((t) => t.data()))
  for (const t of tensors) t.dispose()
}
