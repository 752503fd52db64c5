import {
  type GatedLinearAttentionSizes,
  gatedLinearAttentionSizes,
  type Infos,
  type OpKernel,
} from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { engine, mul, reshape, sum, type Tensor, type TensorInfo, tidy } from '@tensorflow/tfjs-core'
import { fits, zerosOf } from './fits.js'
import { type GatedForm, readShader, stateShader, writeShader } from './gated-linear-attention.wgsl.js'
import {
  decayGradientShader,
  keyGradientShader,
  queryGradientShader,
  stateBackShader,
  valueGradientShader,
  writeBackShader,
} from './gated-linear-attention-backward.wgsl.js'
import { runShader, type Shader } from './run.js'

type Inputs = Readonly<Record<'q' | 'k' | 'v', TensorInfo>> & Infos
type Attrs = Readonly<Record<string, unknown>>

/** Columns and rows of the state are kept by one invocation each. */
const WIDEST = 256
const FORWARD_CHUNK = 64
/** Backward an invocation holds its row of the state at every token of a chunk. */
const backwardChunk = (V: number): number => (V <= 64 ? 16 : V <= 128 ? 8 : 4)

/**
 * `gatedLinearAttention` in chunks that are walked at the same time: first what each writes, then the states between
 * them, then outputs or gradients. Forward 3 dispatches, 1 up to 64 tokens; backward 8, or 7 where there is no decay,
 * and one or two sums more for each of q, k and logDecay that heads, tokens or channels share, and for the bonus.
 *
 * One invocation a chunk and column (B H V of them) or row (B H K) of the state, which is kept at every 64th token,
 * backward at every 16th (4th where V > 128). Refused above widths of 256.
 */
export function gatedLinearAttentionKernel({
  maxBufferBytes,
  maxBuffers,
}: {
  readonly maxBufferBytes: number
  /** Storage buffers that one dispatch may have; 8 do, or 9 where there are resets beside decays. */
  readonly maxBuffers: number
}): OpKernel {
  return {
    accepts: (inputs) => {
      const sizes = gatedLinearAttentionSizes(inputs as Inputs)
      const { B, T, H, K, V } = sizes
      if (Math.max(K, V) > WIDEST) return `needs widths of at most ${WIDEST}, K=${K} and V=${V}`
      const form = formOf(inputs, sizes, FORWARD_CHUNK)
      const largest = [readShader(form), valueGradientShader(form), queryGradientShader(form)]
      if (form.decays !== 'none') largest.push(decayGradientShader(form))
      const buffers = Math.max(...largest.map((shader) => shader.inputs.length + shader.outputs.length))
      if (buffers > maxBuffers) return `needs ${buffers} storage buffers, device has ${maxBuffers}`
      const states = Math.ceil(T / backwardChunk(V)) * K * V
      return fits(inputs, B * H * Math.max(T * K, T * V, states), maxBufferBytes)
    },

    forward: (inputs, attrs, backend) => {
      const sizes = gatedLinearAttentionSizes(inputs as Inputs)
      const walk = walkOf(backend as WebGPUBackend, inputs, sizes, attrs, FORWARD_CHUNK)
      const { states } = walk.chunks === 1 ? { states: inputs.state } : statesOf(walk, inputs)
      const form = { ...walk.form, start: states !== undefined }
      const { o, last } = walk.run(readShader(form), { ...inputs, ...(states && { start: states }) }, 'V')
      if (walk.chunks > 1) walk.free(states)
      return { o: o as TensorInfo, state: last as TensorInfo }
    },

    backward: (dys, inputs, _outputs, attrs, backend) => {
      const sizes = gatedLinearAttentionSizes(inputs as Inputs)
      const walk = walkOf(backend as WebGPUBackend, inputs, sizes, attrs, backwardChunk(sizes.V))
      const { form, run } = walk
      const { states, kept } = statesOf(walk, inputs, true)
      const known = { ...inputs, states, dO: dys.o as TensorInfo, dLast: dys.state as TensorInfo }
      const { written } = run(writeBackShader(form), known, 'V')
      const { dStates, dState } = run(stateBackShader(form), { ...known, written, kept } as Infos, 'KV')
      walk.free(written, kept)
      const all = { ...known, dStates } as Infos
      const { dq } = run(queryGradientShader(form), all, 'K')
      const { dk } = run(keyGradientShader(form), all, 'K')
      const { dv } = run(valueGradientShader(form), all, 'V')
      const grads: Record<string, TensorInfo> = {
        q: overGroups(dq as TensorInfo, sizes),
        k: overGroups(dk as TensorInfo, sizes),
        v: dv as TensorInfo,
      }
      if (form.decays !== 'none') {
        const { dLogDecay } = run(decayGradientShader(form), all, 'K')
        grads.logDecay = overShared(dLogDecay as TensorInfo, sizes)
      }
      walk.free(states, dStates)
      if (form.bonus) grads.bonus = bonusGradient(all as unknown as Inputs, sizes, scaleOf(attrs, sizes.K))
      if (inputs.resets !== undefined) grads.resets = zerosOf(backend as WebGPUBackend, inputs.resets)
      if (inputs.state === undefined) walk.free(dState)
      else grads.state = dState as TensorInfo
      return grads
    },
  }
}

/** One call cut into chunks of one length. */
interface Walk {
  readonly form: GatedForm
  readonly chunks: number
  /** One invocation for each column or row of every chunk, or for every number of a state. */
  run(shader: Shader, inputs: Infos, each: 'K' | 'V' | 'KV'): Infos
  free(...tensors: (TensorInfo | undefined)[]): void
}

function walkOf(backend: WebGPUBackend, given: Infos, sizes: GatedLinearAttentionSizes, attrs: Attrs, C: number): Walk {
  const { B, T, G, H, K, V, B1, T1, K1 } = sizes
  const chunks = Math.ceil(T / C)
  // sizes are whole numbers, so the scale travels as its bits
  const scale = new Uint32Array(Float32Array.of(scaleOf(attrs, K)).buffer)[0] as number
  const invocations = { K: B * H * chunks * K, V: B * H * chunks * V, KV: B * H * K * V }
  const [ofKeys, ofValues] = [
    [B, T, H, K],
    [B, T, H, V],
  ]
  const [state, states] = [
    [B, H, K, V],
    [chunks, B, H, K, V],
  ]
  const outputShapes = {
    ...{ o: ofValues, dv: ofValues, dq: ofKeys, dk: ofKeys, dLogDecay: ofKeys },
    ...{ last: state, dState: state, written: states, states, dStates: states, kept: [chunks, B, H, K] },
  }
  return {
    form: formOf(given, sizes, C),
    chunks,
    run: (shader, inputs, each) =>
      runShader(backend, shader, {
        sizes: { B, T, G, H, B1, T1, K1, chunks, scale },
        inputs,
        outputShapes,
        invocations: invocations[each],
      }),
    free: (...tensors) => {
      for (const tensor of tensors) if (tensor !== undefined) backend.disposeData(tensor.dataId)
    },
  }
}

/** States at the starts of chunks; what each chunk keeps of the one before it is handed out too if it is wanted. */
function statesOf(walk: Walk, inputs: Infos, keep = false): { states: TensorInfo; kept: TensorInfo } {
  const { written, kept } = walk.run(writeShader(walk.form), inputs, 'V')
  const start = inputs.state && { start: inputs.state }
  const { states } = walk.run(stateShader(walk.form), { written, kept, ...start } as Infos, 'KV')
  walk.free(written, keep ? undefined : kept)
  return { states: states as TensorInfo, kept: kept as TensorInfo }
}

function formOf(inputs: Infos, { K, V, K1 }: GatedLinearAttentionSizes, C: number): GatedForm {
  const has = (name: string): boolean => inputs[name] !== undefined
  const decays = !has('logDecay') ? 'none' : K1 === 1 ? 'one' : 'keys'
  return { K, V, C, decays, bonus: has('bonus'), resets: has('resets'), start: has('state') }
}

const scaleOf = ({ scale }: Attrs, K: number): number => (scale as number) || K ** -0.5

const tensorOf = (info: TensorInfo): Tensor => engine().makeTensorFromTensorInfo(info)

/** Gradients of every head `[B, T, H, K]`, summed over the heads of a group. */
function overGroups(grad: TensorInfo, { B, T, G, H, K }: GatedLinearAttentionSizes): TensorInfo {
  if (G === H) return grad
  const all = tensorOf(grad)
  const summed = tidy(() => reshape(sum(reshape(all, [B * T * G, H / G, K]), 1), [B, T, G, K]))
  all.dispose()
  return summed
}

/** Gradients of every token and channel, summed over those that share a decay. */
function overShared(grad: TensorInfo, { B, T, K, B1, T1, K1 }: GatedLinearAttentionSizes): TensorInfo {
  const axes = [B1 < B, T1 < T, false, K1 < K].flatMap((shared, axis) => (shared ? [axis] : []))
  if (axes.length === 0) return grad
  const all = tensorOf(grad)
  const summed = tidy(() => sum(all, axes, true))
  all.dispose()
  return summed
}

/** The bonus meets only a token's own product: scale <v, dO> q k, summed over rows and tokens. */
function bonusGradient(
  { q, k, v, dO }: Inputs,
  { B, T, G, H, K, V }: GatedLinearAttentionSizes,
  scale: number,
): TensorInfo {
  return tidy(() => {
    const own = sum(mul(reshape(v as Tensor, [B * T, H, V]), reshape(dO as Tensor, [B * T, H, V])), 2)
    const products = mul(reshape(q as Tensor, [B * T, G, 1, K]), reshape(k as Tensor, [B * T, G, 1, K]))
    const weighted = mul(products, reshape(own, [B * T, G, H / G, 1]))
    return mul(reshape(sum(weighted, 0), [H, K]), scale)
  })
}
