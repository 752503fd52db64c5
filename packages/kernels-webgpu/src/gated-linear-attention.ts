import {
  type GatedLinearAttentionSizes,
  gatedLinearAttentionSizes,
  type Infos,
  type OpKernel,
} from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { engine, mul, reshape, sum, type Tensor, type TensorInfo, tidy } from '@tensorflow/tfjs-core'
import { fits, zerosOf } from './fits.js'
import {
  decayGradientShader,
  forwardShader,
  type GatedForm,
  keyGradientShader,
  queryGradientShader,
  rowsHeld,
  valueGradientShader,
} from './gated-linear-attention.wgsl.js'
import { runShader, type Shader, type ShaderCall } from './run.js'

type Inputs = Readonly<Record<'q' | 'k' | 'v', TensorInfo>> & Infos
type Attrs = Readonly<Record<string, unknown>>

/** Columns and rows of the state are kept by one invocation each. */
const WIDEST = 256

/**
 * The recurrence of `gatedLinearAttention`: one dispatch forward; backward four, or three where there is no decay, and
 * a sum more for each of q, k and logDecay that heads, tokens or channels share, and for the bonus.
 *
 * One invocation a column (B H V of them) or a row (B H K) of the state, sequential in time. Backward keeps the state of
 * every 16th token (4th where V > 128). Refused above widths of 256.
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
      const form = formOf(inputs, sizes)
      const shaders = [forwardShader(form), ...backwardShaders(form)]
      const buffers = Math.max(...shaders.map((shader) => shader.inputs.length + shader.outputs.length))
      if (buffers > maxBuffers) return `needs ${buffers} storage buffers, device has ${maxBuffers}`
      const borders = form.logDecay ? Math.ceil(T / rowsHeld(V)) * V * K : 0
      return fits(inputs, B * H * Math.max(T * K, T * V, K * V, borders), maxBufferBytes)
    },

    forward: (inputs, attrs, backend) => {
      const sizes = gatedLinearAttentionSizes(inputs as Inputs)
      const { B, H, K, V } = sizes
      const call = callOf(inputs, sizes, attrs, B * H * V)
      const outputShapes = { o: (inputs.v as TensorInfo).shape, last: [B, H, K, V] }
      const shader = forwardShader(formOf(inputs, sizes))
      const { o, last } = runShader(backend as WebGPUBackend, shader, { ...call, outputShapes })
      return { o: o as TensorInfo, state: last as TensorInfo }
    },

    backward: (dys, inputs, _outputs, attrs, given) => {
      const backend = given as WebGPUBackend
      const sizes = gatedLinearAttentionSizes(inputs as Inputs)
      const { B, T, H, K, V } = sizes
      const form = formOf(inputs, sizes)
      const known = { ...inputs, dO: dys.o as TensorInfo, dLast: dys.state as TensorInfo }
      const rows = [B, T, H, K]
      const outputShapes = {
        dq: rows,
        dk: rows,
        dLogDecay: rows,
        borders: [Math.ceil(T / rowsHeld(V)), V, B * H * K],
        dv: (inputs.v as TensorInfo).shape,
        dState: [B, H, K, V],
      }
      const run = (shader: Shader, inputs: Infos, invocations: number): Infos =>
        runShader(backend, shader, { ...callOf(inputs, sizes, attrs, invocations), outputShapes })
      const { dq, borders } = run(queryGradientShader(form), known, B * H * K)
      const { dk } = run(keyGradientShader(form), known, B * H * K)
      const { dv, dState } = run(valueGradientShader(form), known, B * H * V)
      const grads: Record<string, TensorInfo> = {
        q: overGroups(dq as TensorInfo, sizes),
        k: overGroups(dk as TensorInfo, sizes),
        v: dv as TensorInfo,
      }
      if (borders !== undefined) {
        const { dLogDecay } = run(decayGradientShader(form), { ...known, borders }, B * H * K)
        backend.disposeData(borders.dataId)
        grads.logDecay = overShared(dLogDecay as TensorInfo, sizes)
      }
      if (inputs.bonus !== undefined) grads.bonus = bonusGradient(known as unknown as Inputs, sizes, scaleOf(attrs, K))
      if (inputs.resets !== undefined) grads.resets = zerosOf(backend, inputs.resets)
      if (dState !== undefined) grads.state = dState
      return grads
    },
  }
}

const backwardShaders = (form: GatedForm): Shader[] => [
  queryGradientShader(form),
  keyGradientShader(form),
  valueGradientShader(form),
  ...(form.logDecay ? [decayGradientShader(form)] : []),
]

function formOf(inputs: Infos, { K, V }: GatedLinearAttentionSizes): GatedForm {
  const has = (name: string): boolean => inputs[name] !== undefined
  return { K, V, logDecay: has('logDecay'), bonus: has('bonus'), resets: has('resets'), state: has('state') }
}

const scaleOf = ({ scale }: Attrs, K: number): number => (scale as number) || K ** -0.5

function callOf(
  inputs: Infos,
  { B, T, G, H, B1, T1, K, K1 }: GatedLinearAttentionSizes,
  attrs: Attrs,
  invocations: number,
): Omit<ShaderCall, 'outputShapes'> {
  // sizes are whole numbers, so the scale travels as its bits
  const scale = new Uint32Array(Float32Array.of(scaleOf(attrs, K)).buffer)[0] as number
  return { sizes: { B, T, G, H, B1, T1, K1, scale }, inputs, invocations }
}

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
