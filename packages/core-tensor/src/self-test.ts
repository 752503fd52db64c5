import { engine, getBackend, setBackend, type Tensor, tensor } from '@tensorflow/tfjs-core'
import { vjp } from './gradients.js'
import type { CheckpointStore } from './io/store.js'
import { type AnyOp, type OpExample, opKernel, registerOpKernel } from './op.js'
import { type Drawn, drawInputs, exampleSize, toTensors } from './op-inputs.js'
import { allOps } from './ops/all.js'
import { Rng } from './rng.js'

/** What became of one kernel on this device. */
export interface KernelVerdict {
  readonly op: string
  /** `reference` where no kernel is registered for this backend. */
  readonly verdict: 'agrees' | 'differs' | 'fails' | 'reference'
  /** Largest RMS-relative difference over outputs and gradients of all examples. */
  readonly error: number
  readonly detail: string
}

export interface SelfTestReport {
  readonly backend: string
  readonly timeMs: number
  readonly verdicts: readonly KernelVerdict[]
}

export interface SelfTestOptions {
  /** Examples whose inputs hold more numbers are left out. */
  readonly maxElements?: number
  /** RMS-relative difference that is allowed. */
  readonly tolerance?: number
  /** Takes kernels that do not pass out of use, so that their references run instead. */
  readonly fallBack?: boolean
}

/**
 * Holds every kernel of the current backend to its reference on the cpu backend, outputs and gradients, at awkward
 * sizes. Needs the cpu backend to be there. Takes under two seconds on wasm.
 */
export async function selfTest(options: SelfTestOptions = {}): Promise<SelfTestReport> {
  const { maxElements = 2_000, tolerance = 2e-3, fallBack = true } = options
  const backend = getBackend()
  const started = performance.now()
  const verdicts: KernelVerdict[] = []
  for (const op of allOps) {
    if (opKernel(op.spec.name, backend) === undefined) {
      verdicts.push({ op: op.spec.name, verdict: 'reference', error: 0, detail: 'no kernel for this backend' })
      continue
    }
    const verdict = await judge(op, backend, maxElements, tolerance)
    if (fallBack && verdict.verdict !== 'agrees') registerOpKernel(op.spec.name, backend, null)
    verdicts.push(verdict)
  }
  return { backend, timeMs: performance.now() - started, verdicts }
}

/** Where verdicts are kept between starts: a folder or a browser's storage, as checkpoints are. */
export type VerdictStore = Pick<CheckpointStore, 'read' | 'write'>

/**
 * What an earlier self-test of this device found: kernels that did not pass are taken out of use again. Null if none is
 * kept.
 *
 * @param device as for `selfTestOnce`
 */
export async function recallSelfTest(store: VerdictStore, device: string): Promise<SelfTestReport | null> {
  const { name, key } = entryOf(device)
  const kept = await store.read(name)
  const known = kept === null ? null : reportOf(new TextDecoder().decode(kept), key)
  for (const { op, verdict } of known?.verdicts ?? []) {
    if (verdict === 'differs' || verdict === 'fails') registerOpKernel(op, getBackend(), null)
  }
  return known
}

/**
 * The self-test, unless this device has passed through it before: then its verdicts are taken from the store, and
 * kernels that did not pass are taken out of use again.
 *
 * @param device names the adapter, its driver and the versions of the kernels: what differs in one is tested anew
 */
export async function selfTestOnce(
  store: VerdictStore,
  device: string,
  options: SelfTestOptions = {},
): Promise<SelfTestReport> {
  const known = await recallSelfTest(store, device)
  if (known !== null) return known
  const { name, key } = entryOf(device)
  const report = await selfTest(options)
  await store.write(name, new TextEncoder().encode(JSON.stringify({ key, report }, null, 2)))
  return report
}

/** Name and key of what is kept of a device with the kernels that are in use now. */
function entryOf(device: string): { readonly name: string; readonly key: string } {
  const backend = getBackend()
  const kernels = allOps.map(({ spec }) => spec.name).filter((name) => opKernel(name, backend) !== undefined)
  const key = [backend, device, ...kernels].join('\n')
  return { name: `selftest-${hashOf(key)}.json`, key }
}

/** Null for what was written for another key, or is damaged: both are tested anew. */
function reportOf(text: string, key: string): SelfTestReport | null {
  try {
    const kept = JSON.parse(text) as { readonly key?: unknown; readonly report?: SelfTestReport }
    return kept.key === key && Array.isArray(kept.report?.verdicts) ? kept.report : null
  } catch (error) {
    console.debug(`selfTestOnce: ${(error as Error).message}`)
    return null
  }
}

/** FNV-1a, as a name for a file; the whole key stands in it. */
function hashOf(text: string): string {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}

async function judge(op: AnyOp, backend: string, maxElements: number, tolerance: number): Promise<KernelVerdict> {
  const name = op.spec.name
  let [error, detail] = [0, '']
  try {
    for (const [i, example] of op.spec.examples.entries()) {
      if (exampleSize(op, example) > maxElements) continue
      const inputs = drawInputs(op, example, new Rng(i))
      const actual = await results(op, example, inputs)
      await setBackend('cpu')
      const expected = await results(op, example, inputs)
      await setBackend(backend)
      for (const [part, values] of Object.entries(expected)) {
        const apart = relative(actual[part] ?? [], values)
        if (apart <= error) continue
        error = apart
        detail = `${part} at ${JSON.stringify(example.dims)}`
      }
    }
  } catch (failure) {
    await setBackend(backend)
    return { op: name, verdict: 'fails', error: Number.POSITIVE_INFINITY, detail: (failure as Error).message }
  }
  return { op: name, verdict: error < tolerance ? 'agrees' : 'differs', error, detail }
}

/** Outputs by name, and gradients as `d <input>`, as values. */
async function results(
  op: AnyOp,
  example: OpExample<unknown>,
  inputs: Readonly<Record<string, Drawn>>,
): Promise<Record<string, Float32Array>> {
  engine().startScope('self-test')
  try {
    const live = toTensors(inputs)
    const run = (): Record<string, Tensor> => op(live, example.attrs ?? {}) as Record<string, Tensor>
    const outputs = run()
    const names = Object.keys(outputs)
    const cotangents = names.map((name, i) => cotangent(outputs[name] as Tensor, i))
    const floats = Object.entries(live).filter(([, t]) => t.dtype === 'float32')
    const differentiable = Object.keys(op.spec.gradient(outputs, live, outputs, { ...op.spec.attrs, ...example.attrs }))
    const by = floats.filter(([name]) => differentiable.includes(name))
    const grads =
      by.length === 0
        ? []
        : vjp(
            () => Object.values(run()),
            by.map(([, t]) => t),
            cotangents,
          )
    const all = [
      ...names.map((name) => [name, outputs[name]] as const),
      ...by.map(([name], i) => [`d ${name}`, grads[i]] as const),
    ]
    return Object.fromEntries(
      await Promise.all(
        all.map(async ([name, t]) => [name, (await (t as Tensor).data()).slice() as Float32Array] as const),
      ),
    )
  } finally {
    engine().endScope()
  }
}

function cotangent(like: Tensor, seed: number): Tensor {
  const rng = new Rng(seed)
  return tensor(
    Float32Array.from({ length: like.size }, () => rng.normal()),
    like.shape,
  )
}

/** RMS(error) / RMS(reference); differences below 1e-6 count as none. */
function relative(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY
  let [largest, error, reference] = [0, 0, 0]
  for (let i = 0; i < expected.length; i++) {
    const gap = (actual[i] as number) - (expected[i] as number)
    if (Number.isNaN(gap)) return Number.POSITIVE_INFINITY
    largest = Math.max(largest, Math.abs(gap))
    error += gap * gap
    reference += (expected[i] as number) ** 2
  }
  return largest <= 1e-6 ? 0 : Math.sqrt(error / Math.max(reference, Number.MIN_VALUE))
}
