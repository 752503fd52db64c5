import { dims, type Infos, type OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { runShader, type Shader, type ShaderCall } from './run.js'
import { type Form, forward, groupSize } from './softmax-attention.wgsl.js'
import {
  gateGradient,
  keyGradient,
  queryGradient,
  rowStatistics,
  sinkGradient,
  slopeGradient,
} from './softmax-attention-backward.wgsl.js'

type Attrs = Readonly<Record<string, unknown>>
interface Sizes {
  readonly B: number
  readonly T: number
  readonly S: number
  readonly H: number
  readonly G: number
  readonly K: number
  readonly V: number
}

/** Heads wider than this would not fit in the registers of an invocation. */
const MAX_WIDTH = 128

/** What the kernels take of a device. */
export interface AttentionLimits {
  /** Largest buffer; larger calls are refused. */
  readonly bufferBytes: number
  /** Storage buffers of a stage, 8 at the least: gates, masks and documents together need up to 14. */
  readonly storageBuffers: number
}

/**
 * Online softmax attention: one dispatch forward and three backward (statistics of rows, queries, keys and values), and
 * one more for each of gates, slopes and sinks, whatever the length. An invocation a query, or a key: with few of them,
 * as in decoding, most of a workgroup stands idle.
 */
export function softmaxAttentionKernel(limits: AttentionLimits): OpKernel {
  return {
    accepts: (inputs, attrs) => refusal(inputs, attrs, limits) ?? true,

    forward: (inputs, attrs, given) => {
      const sizes = sizesOf(inputs)
      const { B, T, H, V } = sizes
      const { o, lse } = runShader(given as WebGPUBackend, shadersOf(formOf(inputs, sizes)).forward, {
        sizes: numbers(sizes, attrs),
        inputs,
        outputShapes: { o: [B, T, H, V], lse: [B, H, T] },
        invocations: groups(B * H, T),
      })
      return { o: o as TensorInfo, lse: lse as TensorInfo }
    },

    backward: (dys, inputs, outputs, attrs, given) => {
      const backend = given as WebGPUBackend
      const sizes = sizesOf(inputs)
      const { B, T, S, H, G, K, V } = sizes
      const { queries, keys } = shadersOf(formOf(inputs, sizes))
      const run = (shader: Shader, more: Infos, shapes: ShaderCall['outputShapes'], invocations: number): Infos =>
        runShader(backend, shader, {
          sizes: numbers(sizes, attrs),
          inputs: { ...inputs, ...more },
          outputShapes: shapes,
          invocations,
        })
      const { statistics } = run(
        rowStatistics,
        { ...outputs, dO: dys.o as TensorInfo, dLse: dys.lse as TensorInfo },
        { statistics: [B, H, T, 2] },
        B * H * T,
      )
      const rows = { dO: dys.o as TensorInfo, statistics: statistics as TensorInfo }
      const ofQueries = { dq: [B, T, H, K], rowSums: [B, H, T, 2], dBias: [B, H, T, S] }
      const { dq, rowSums, dBias } = run(queries, rows, ofQueries, groups(B * H, T))
      const shapes = { dk: [B, S, G, K], dv: [B, S, G, V], keySums: [B, H, S] }
      const { dk, dv, keySums } = run(keys, rows, shapes, groups(B * G, S))
      const sums = { ...rows, ...(rowSums && { rowSums }), ...(keySums && { keySums }) }
      const gate = (): Infos => run(gateGradient, sums, { dLogForget: [B, S, H] }, B * H)
      const perHead = (shader: Shader): Infos => run(shader, sums, { dSlopes: [H], dSinkLogits: [H] }, groupSize * H)
      const grads = {
        q: dq as TensorInfo,
        k: dk as TensorInfo,
        v: dv as TensorInfo,
        ...(dBias && { bias: dBias }),
        ...(inputs.logForget && { logForget: gate().dLogForget as TensorInfo }),
        ...(inputs.slopes && { slopes: perHead(slopeGradient).dSlopes as TensorInfo }),
        ...(inputs.sinkLogits && { sinkLogits: perHead(sinkGradient).dSinkLogits as TensorInfo }),
      }
      for (const used of [statistics, rowSums, keySums]) if (used) backend.disposeData(used.dataId)
      return { ...grads, ...constants(backend, inputs) }
    },
  }
}

/** Invocations of whole workgroups for `count` rows of tiles over `length`. */
const groups = (count: number, length: number): number => count * Math.ceil(length / groupSize) * groupSize

function sizesOf({ q, k, v }: Infos): Sizes {
  const { B, T, H, K } = dims('softmaxAttention q', q as TensorInfo, 'B T H K') as unknown as Sizes
  const { S, G } = dims('softmaxAttention k', k as TensorInfo, 'B S G K') as unknown as Sizes
  return { B, T, S, H, G, K, V: (v as TensorInfo).shape[3] as number }
}

function numbers(sizes: Sizes, { causal, window, sinks, scale, softCap }: Attrs): Record<string, number> {
  return {
    ...sizes,
    causal: causal === true ? 1 : 0,
    window: window as number,
    sinks: sinks as number,
    scale: bits((scale as number) || sizes.K ** -0.5),
    softCap: bits(softCap as number),
  }
}

/** A float in the place of a whole number; the shader takes it back bit by bit. */
function bits(x: number): number {
  return new Uint32Array(Float32Array.of(x).buffer)[0] as number
}

function formOf(inputs: Infos, { K, V }: Sizes): Form {
  const has = (name: string): boolean => inputs[name] !== undefined
  return {
    K,
    V,
    bias: has('bias'),
    slopes: has('slopes'),
    logForget: has('logForget'),
    sinkLogits: has('sinkLogits'),
    keyMask: has('keyMask'),
    documents: has('queryDocuments') && has('keyDocuments'),
  }
}

interface Shaders {
  readonly forward: Shader
  readonly queries: Shader
  readonly keys: Shader
}

const known = new Map<string, Shaders>()

/** Put together once for each form, so that a shader is one object. */
function shadersOf(form: Form): Shaders {
  const key = JSON.stringify(form)
  const found = known.get(key)
  if (found !== undefined) return found
  const made = { forward: forward(form), queries: queryGradient(form), keys: keyGradient(form) }
  known.set(key, made)
  return made
}

function refusal(inputs: Infos, attrs: Attrs, { bufferBytes, storageBuffers }: AttentionLimits): string | undefined {
  for (const [name, { dtype }] of Object.entries(inputs)) {
    if (dtype !== 'float32') return `needs float32, ${name} is ${dtype}`
  }
  if (inputs.relativeBias) return 'it has no table of biases by distance'
  const sizes = sizesOf(inputs)
  const { B, T, S, H, G, K, V } = sizes
  const [X, Y] = inputs.bias?.shape ?? [B, H]
  if (X !== B || Y !== H) return 'a bias is to have all rows of the batch and all heads'
  if (H % G !== 0) return `${H} query heads are no multiple of ${G}`
  if (inputs.logForget && (attrs.causal !== true || T > S)) {
    return 'a forget gate needs causal attention over at least as many keys'
  }
  if (Math.max(K, V) > MAX_WIDTH) return `heads of ${Math.max(K, V)} are wider than ${MAX_WIDTH}`
  const largest =
    4 * B * Math.max(T * H * Math.max(K, V), S * G * Math.max(K, V), 2 * H * T, S * H, inputs.bias ? H * T * S : 0)
  if (largest === 0) return 'there is nothing to compute'
  if (largest > bufferBytes) return `needs buffers of ${largest} bytes, device has ${bufferBytes}`
  const { forward: ahead, queries, keys } = shadersOf(formOf(inputs, sizes))
  const buffers = Math.max(...[ahead, queries, keys].map((shader) => shader.inputs.length + shader.outputs.length))
  return buffers > storageBuffers ? `needs ${buffers} storage buffers, device has ${storageBuffers}` : undefined
}

/** Masks and documents do not change anything smoothly. */
function constants(backend: WebGPUBackend, inputs: Infos): Infos {
  const present = ['keyMask', 'queryDocuments', 'keyDocuments'].filter((name) => inputs[name] !== undefined)
  return Object.fromEntries(
    present.map((name) => {
      const { shape } = inputs[name] as TensorInfo
      return [name, backend.makeTensorInfo(shape, 'float32', new Float32Array(util.sizeFromShape(shape)))]
    }),
  )
}
