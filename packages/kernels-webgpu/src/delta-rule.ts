import type { Infos, OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { add, engine, exp, mul, reshape, sub, sum, type Tensor, type TensorInfo, tidy } from '@tensorflow/tfjs-core'
import { type DeltaForm, packShader, readingShader, readShader, stateShader, writeShader } from './delta-rule.wgsl.js'
import {
  readerGradientShader,
  stateBackShader,
  valueGradientShader,
  writeBackShader,
  writerGradientShader,
} from './delta-rule-backward.wgsl.js'
import { fits, zerosOf } from './fits.js'
import { runShader, type Shader } from './run.js'

type Attrs = Readonly<Record<string, unknown>>
type Sizes = Readonly<Record<'B' | 'T' | 'H' | 'K' | 'V', number>>

/** Columns and rows of the state are kept by one invocation each. */
const WIDEST = 256
const CHUNK = 64
/** Backward an invocation holds its row of the state at every token between two borders. */
const heldTokens = (V: number): number => (V <= 64 ? 16 : V <= 128 ? 8 : 4)

/**
 * `deltaRule` by its inputs q, k, v and beta, `dplrDeltaRule` by q, k, v, a and b, in chunks of 64 tokens that are walked
 * at the same time: first what each does to a state, then the states between them, then outputs or gradients. Forward 4
 * dispatches, 2 up to 64 tokens; backward 9, and for `deltaRule` a dozen of tfjs on rows of keys.
 *
 * One invocation a chunk and column (B H V of them) or row (B H K) of the state, which is kept at every 64th token,
 * backward at every 16th (4th where V > 128) too. Refused above widths of 256.
 */
export function deltaRuleKernel({
  maxBufferBytes,
  maxBuffers,
}: {
  readonly maxBufferBytes: number
  /** Storage buffers that one dispatch may have; 8 do. */
  readonly maxBuffers: number
}): OpKernel {
  return {
    accepts: (inputs) => {
      const { B, T, H, K, V } = sizesOf(inputs)
      if (Math.max(K, V) > WIDEST) return `needs widths of at most ${WIDEST}, K=${K} and V=${V}`
      const form = formOf(inputs)
      const largest = [packShader(form), readerGradientShader(form), writerGradientShader(form)]
      const buffers = Math.max(...largest.map((shader) => shader.inputs.length + shader.outputs.length))
      if (buffers > maxBuffers) return `needs ${buffers} storage buffers, device has ${maxBuffers}`
      const states = Math.max(Math.ceil(T / heldTokens(V)) * V, Math.ceil(T / CHUNK) * K) * K
      return fits(inputs, B * H * Math.max(5 * T * K, 2 * T * V, states), maxBufferBytes)
    },

    forward: (inputs, attrs, backend) => {
      const walk = walkOf(backend as WebGPUBackend, inputs, attrs)
      const { rows } = walk.run(packShader(walk.form), inputs, 'keys')
      const { states } = walk.chunks === 1 ? { states: inputs.state } : statesOf(walk, { ...inputs, rows } as Infos)
      const form = { ...walk.form, start: states !== undefined }
      const known = { ...inputs, rows, ...(states && { start: states }) } as Infos
      const { o, last } = walk.run(readShader(form), known, 'columns')
      walk.free(rows, walk.chunks === 1 ? undefined : states)
      return { o: o as TensorInfo, state: last as TensorInfo }
    },

    backward: (dys, inputs, _outputs, attrs, backend) => {
      const walk = walkOf(backend as WebGPUBackend, inputs, attrs)
      const { form, run, free } = walk
      const { rows } = run(packShader(form), inputs, 'keys')
      const known = { ...inputs, rows, dO: dys.o, dLast: dys.state } as Infos
      const { states, passed } = statesOf(walk, known, true)
      const { values, borders } = run(readingShader(form), { ...known, states } as Infos, 'columns')
      free(states)
      const { written } = run(writeBackShader(form), known, 'columns')
      const { dStates, dState } = run(stateBackShader(form), { ...known, written, passed } as Infos, 'state')
      free(written, passed)
      const { dv, asked, dBorders } = run(valueGradientShader(form), { ...known, dStates } as Infos, 'columns')
      free(dStates)
      const all = { ...known, values, borders, asked, dBorders } as Infos
      const { dq, da } = run(readerGradientShader(form), all, 'rows')
      const { dk, db, dLogDecay } = run(writerGradientShader(form), all, 'rows')
      free(rows, values, borders, asked, dBorders)
      const ofRows = { k: dk, a: da, b: db, ...(dLogDecay && { logDecay: dLogDecay }) } as RowGradients
      const grads: Record<string, TensorInfo> = {
        q: dq as TensorInfo,
        v: dv as TensorInfo,
        ...(form.lowRank ? ofRows : deltaGradients(inputs, ofRows)),
      }
      if (inputs.resets !== undefined) grads.resets = zerosOf(backend as WebGPUBackend, inputs.resets)
      if (inputs.state === undefined) free(dState)
      else grads.state = dState as TensorInfo
      return grads
    },
  }
}

/** One call cut into chunks of one length. */
interface Walk {
  readonly form: DeltaForm
  readonly chunks: number
  /** One invocation for each key of every token, each column of every chunk or of a state, or each row of shorter ones. */
  run(shader: Shader, inputs: Infos, each: 'keys' | 'columns' | 'lanes' | 'state' | 'rows'): Readonly<Partial<Infos>>
  free(...tensors: (TensorInfo | undefined)[]): void
}

function sizesOf({ k, v }: Infos): Sizes {
  const [B, T, H, K] = (k as TensorInfo).shape as [number, number, number, number]
  return { B, T, H, K, V: (v as TensorInfo).shape[3] as number }
}

function formOf(inputs: Infos): DeltaForm {
  const { K, V } = sizesOf(inputs)
  const has = (name: string): boolean => inputs[name] !== undefined
  const decays = !has('logDecay') ? 'none' : has('beta') ? 'one' : 'keys'
  return { K, V, C: CHUNK, F: heldTokens(V), lowRank: has('a'), decays, resets: has('resets'), start: has('state') }
}

function walkOf(backend: WebGPUBackend, given: Infos, attrs: Attrs): Walk {
  const { B, T, H, K, V } = sizesOf(given)
  const form = formOf(given)
  const [chunks, shorter] = [Math.ceil(T / CHUNK), Math.ceil(T / form.F)]
  // sizes are whole numbers, so the scale travels as its bits
  const scale = new Uint32Array(Float32Array.of((attrs.scale as number) || K ** -0.5).buffer)[0] as number
  const N = B * H
  const invocations = {
    ...{ keys: B * T * H * K, columns: N * chunks * V, lanes: N * chunks * (V + K), state: N * V },
    rows: N * shorter * K,
  }
  const [ofKeys, ofValues, state] = [
    [B, T, H, K],
    [B, T, H, V],
    [B, H, K, V],
  ]
  const outputShapes = {
    ...{ rows: [B, T, H, 5 * K], o: ofValues, last: state, dState: state, dv: ofValues },
    ...{ dq: ofKeys, dk: ofKeys, da: ofKeys, db: ofKeys, dLogDecay: ofKeys },
    ...{ written: [chunks, ...state], passed: [chunks, B, H, K, K], states: [chunks, ...state] },
    ...{ dStates: [chunks, ...state], borders: [shorter, ...state], dBorders: [shorter, ...state] },
    ...{ values: [B, T, H, 2 * V], asked: [B, T, H, 2 * V] },
  }
  return {
    form,
    chunks,
    run: (shader, inputs, each) =>
      runShader(backend, shader, {
        sizes: { B, T, H, chunks, scale },
        inputs,
        outputShapes,
        invocations: invocations[each],
      }),
    free: (...tensors) => {
      for (const tensor of tensors) if (tensor !== undefined) backend.disposeData(tensor.dataId)
    },
  }
}

/** States at the starts of chunks; the transitions of chunks are handed out too if they are wanted. */
function statesOf(walk: Walk, inputs: Infos, keep = false): Readonly<Partial<Infos>> {
  const { written, passed } = walk.run(writeShader(walk.form), inputs, 'lanes')
  const start = inputs.state && { start: inputs.state }
  const { states } = walk.run(stateShader(walk.form), { written, passed, ...start } as Infos, 'state')
  walk.free(written, keep ? undefined : passed)
  return { states, passed } as Infos
}

type RowGradients = Readonly<Record<'k' | 'a' | 'b', TensorInfo>> & { readonly logDecay?: TensorInfo }

/** From gradients of the rows that the delta rule is made of: k is beta k, a is decay k, b is -beta k. */
function deltaGradients({ k, beta, logDecay }: Infos, rows: RowGradients): Record<string, TensorInfo> {
  const tensorOf = (info: TensorInfo): Tensor => engine().makeTensorFromTensorInfo(info)
  const [dk, da, db] = [tensorOf(rows.k), tensorOf(rows.a), tensorOf(rows.b)]
  const dLogDecay = rows.logDecay && tensorOf(rows.logDecay)
  const grads = tidy(() => {
    const each = (x: TensorInfo): Tensor => reshape(x as Tensor, [...x.shape, 1])
    const [key, written] = [k as Tensor, sub(dk, db)]
    const rate = each(beta as TensorInfo)
    const decay = logDecay && exp(each(logDecay))
    const ofReader = decay === undefined ? da : mul(decay, da)
    return {
      k: add(mul(rate, written), ofReader),
      beta: sum(mul(key, written), 3),
      ...(dLogDecay && { logDecay: sum(add(dLogDecay, mul(key, ofReader)), 3) }),
    }
  })
  for (const tensor of [dk, da, db, dLogDecay]) tensor?.dispose()
  return grads
}
