import { allOps, drawInputs, Rng, toTensors } from '@mneme/core-tensor'
import type { Tensor } from '@tensorflow/tfjs-core'
import { type Timing, timed } from './measure.js'
import { largest } from './ops.js'

/** Of jax-js, what this needs. An array is used up by whatever takes it; `ref` is one more of it. */
interface JaxArray {
  readonly ref: JaxArray
  reshape(shape: readonly number[]): JaxArray
  add(y: JaxArray | number): JaxArray
  sub(y: JaxArray): JaxArray
  mul(y: JaxArray): JaxArray
  data(): Promise<Float32Array>
  dispose(): void
}

type Arrays = Record<string, JaxArray>
type Fn = (inputs: Arrays) => JaxArray

interface Jax {
  init(device: 'wasm'): Promise<unknown>
  defaultDevice(device: 'wasm'): void
  jit(f: Fn): Fn
  grad(f: Fn): (inputs: Arrays) => Arrays
  readonly numpy: {
    array(values: Float32Array | Int32Array): JaxArray
    mean(x: JaxArray, axis: number, options: { keepdims: true }): JaxArray
    sum(x: JaxArray, axis?: number): JaxArray
    square(x: JaxArray): JaxArray
    sqrt(x: JaxArray): JaxArray
    reciprocal(x: JaxArray): JaxArray
  }
  readonly nn: {
    gelu(x: JaxArray, options: { approximate: false }): JaxArray
    logSoftmax(x: JaxArray, axis: number): JaxArray
    oneHot(x: JaxArray, classes: number): JaxArray
    dotProductAttention(q: JaxArray, k: JaxArray, v: JaxArray, options: { isCausal: true }): JaxArray
  }
}

export interface JaxRow {
  readonly forward: Timing
  readonly both: Timing
}

/** Main outputs, by op; jax-js has no scan, so recurrences are not among them. */
function cases({ numpy: np, nn }: Jax): Readonly<Record<string, Fn>> {
  const scaled = (x: JaxArray, squares: JaxArray, eps: number): JaxArray =>
    x.mul(np.reciprocal(np.sqrt(np.mean(squares, -1, { keepdims: true }).add(eps))))
  const given = (inputs: Arrays, name: string): JaxArray => inputs[name] as JaxArray
  return {
    gelu: (i) => nn.gelu(given(i, 'x'), { approximate: false }),
    rmsNorm(i) {
      const x = given(i, 'x')
      return scaled(x.ref, np.square(x), 1e-6).mul(given(i, 'weight'))
    },
    layerNorm(i) {
      const x = given(i, 'x')
      const centred = x.ref.sub(np.mean(x, -1, { keepdims: true }))
      return scaled(centred.ref, np.square(centred), 1e-5).mul(given(i, 'weight')).add(given(i, 'bias'))
    },
    softmaxAttention: (i) => nn.dotProductAttention(given(i, 'q'), given(i, 'k'), given(i, 'v'), { isCausal: true }),
  }
}

/**
 * Times jax-js on WebAssembly where it is installed (`npm i --no-save @jax-js/jax`), by op; null where it is not. An op
 * that it computes differently, or that it cannot run on this Node, has no time.
 */
export async function jaxPeer(ops: readonly string[]): Promise<Readonly<Record<string, JaxRow>> | null> {
  const name = '@jax-js/jax'
  const jax = (await import(name).catch(() => null)) as Jax | null
  if (jax === null) return null
  await jax.init('wasm')
  jax.defaultDevice('wasm')
  const rows: Record<string, JaxRow> = {}
  for (const [op, f] of Object.entries(cases(jax))) {
    if (!ops.includes(op)) continue
    const row = await timesOf(jax, op, f).catch(() => null)
    if (row !== null) rows[op] = row
  }
  return rows
}

async function timesOf(jax: Jax, name: string, f: Fn): Promise<JaxRow | null> {
  const op = allOps.find(({ spec }) => spec.name === name)
  if (op === undefined) return null
  const example = largest(op)
  const tensors = toTensors(drawInputs(op, example, new Rng(0)))
  const [expected, ...rest] = Object.values(op(tensors, example.attrs ?? {})) as [Tensor, ...Tensor[]]
  const arrays: Arrays = {}
  for (const [key, t] of Object.entries(tensors))
    arrays[key] = jax.numpy.array(await t.data<'float32'>()).reshape(t.shape)
  const fresh = (): Arrays => Object.fromEntries(Object.entries(arrays).map(([key, x]) => [key, x.ref]))
  const forward = jax.jit(f)
  const both = jax.jit(((inputs: Arrays) =>
    jax.grad((x) => jax.numpy.sum(f(x)))(inputs)) as unknown as Fn) as unknown as (inputs: Arrays) => Arrays
  const wanted = await expected.data()
  const got = await forward(fresh()).data()
  const agrees = got.length === wanted.length && got.every((v, i) => Math.abs(v - (wanted[i] as number)) < 1e-3)
  const row = agrees && {
    forward: await timed(async () => {
      await forward(fresh()).data()
    }),
    both: await timed(async () => {
      await Promise.all(Object.values(both(fresh())).map((x) => x.data()))
    }),
  }
  for (const t of [...Object.values(tensors), expected, ...rest]) t.dispose()
  for (const x of Object.values(arrays)) x.dispose()
  return row || null
}
