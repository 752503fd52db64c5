import type { OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { type Heap, heapOf, typesFit } from './heap.js'

type Inputs = Readonly<Record<'q' | 'k' | 'v', TensorInfo>> & { readonly [name in Optional]?: TensorInfo }
type Optional = (typeof biases)[number] | 'keyMask' | 'queryDocuments' | 'keyDocuments'
interface Attrs {
  readonly causal: boolean
  readonly window: number
  readonly sinks: number
  readonly scale: number
  readonly softCap: number
  readonly ahead: number
}

/** Inputs that have a gradient beside queries, keys and values, and those that count as constants. */
const biases = ['bias', 'relativeBias', 'slopes', 'logForget', 'sinkLogits'] as const
const constants: ReadonlySet<string> = new Set(['keyMask', 'queryDocuments', 'keyDocuments'])

/** Online softmax over tiles of 64 queries and 64 keys, with all biases and masks of the op. */
export const softmaxAttention: OpKernel = {
  accepts(inputs, given) {
    const { q, k, bias, logForget } = inputs as Inputs
    const { causal } = given as unknown as Attrs
    const [B, T, H] = q.shape as [number, number, number]
    const [, S, G] = k.shape as [number, number, number]
    if (H % G !== 0) return `${H} query heads are no multiple of ${G}`
    if (bias && ![1, B].includes(bias.shape[0] as number)) return 'the batch of the bias does not fit'
    if (bias && ![1, H].includes(bias.shape[1] as number)) return 'the heads of the bias do not fit'
    if (logForget && (!causal || T > S)) return 'a forget gate needs causal attention over at least as many keys'
    return typesFit(inputs)
  },

  forward(inputs, attrs, backend) {
    const { q, v } = inputs as Inputs
    const [B, T, H, K] = q.shape as [number, number, number, number]
    const [, S, , V] = v.shape as [number, number, number, number]
    const heap = heapOf(backend)
    const o = heap.output([B, T, H, V])
    const lse = heap.output([B, H, T])
    const scratch = heap.scratch(heap.kernels.softmaxAttentionScratch(T, S, K, V))
    heap.kernels.softmaxAttention(
      ...addresses(heap, inputs as Inputs),
      heap.address(o),
      heap.address(lse),
      scratch,
      ...settings(inputs as Inputs, attrs as unknown as Attrs),
    )
    return { o, lse }
  },

  backward(dys, inputs, outputs, attrs, backend) {
    const { q, v } = inputs as Inputs
    const [, T, , K] = q.shape as [number, number, number, number]
    const [, S, , V] = v.shape as [number, number, number, number]
    const heap = heapOf(backend)
    const grads = Object.fromEntries(
      Object.entries(inputs).map(([name, { shape }]) => [
        name,
        constants.has(name) ? heap.zeros(shape) : heap.output(shape),
      ]),
    )
    const { o, lse } = outputs as Record<'o' | 'lse', TensorInfo>
    const scratch = heap.scratch(heap.kernels.softmaxAttentionBackwardScratch(T, S, K, V))
    heap.kernels.softmaxAttentionBackward(
      ...addresses(heap, inputs as Inputs),
      heap.address(o),
      heap.address(lse),
      heap.address(dys.o),
      heap.address(dys.lse),
      heap.address(grads.q),
      heap.address(grads.k),
      heap.address(grads.v),
      ...biasAddresses(heap, grads),
      scratch,
      ...settings(inputs as Inputs, attrs as unknown as Attrs),
    )
    return grads
  },
}

type Five = [number, number, number, number, number]

function biasAddresses(heap: Heap, tensors: { readonly [name in Optional]?: TensorInfo }): Five {
  return biases.map((name) => heap.address(tensors[name])) as Five
}

function addresses(heap: Heap, inputs: Inputs): [number, number, number, ...Five, number, number, number] {
  const { q, k, v, keyMask, queryDocuments, keyDocuments } = inputs
  // documents count only where both sides have them
  const packed = queryDocuments !== undefined && keyDocuments !== undefined
  return [
    heap.address(q),
    heap.address(k),
    heap.address(v),
    ...biasAddresses(heap, inputs),
    heap.address(keyMask),
    packed ? heap.address(queryDocuments) : 0,
    packed ? heap.address(keyDocuments) : 0,
  ]
}

type Flag = number | boolean
type Six = [number, number, number, number, number, number]
type Settings = [...Six, number, Flag, Flag, number, number, Flag, number, number, number, number]

function settings(
  { q, v, bias, relativeBias }: Inputs,
  { causal, window, sinks, scale, softCap, ahead }: Attrs,
): Settings {
  const [B, T, H, K] = q.shape as [number, number, number, number]
  const [, S, G, V] = v.shape as [number, number, number, number]
  const [biasBatch, biasHeads] = [(bias?.shape[0] ?? 1) > 1, (bias?.shape[1] ?? 1) > 1]
  const tableSize = relativeBias?.shape[1] ?? 0
  const placed: Six = [B, T, S, H, G, K]
  return [...placed, V, biasBatch, biasHeads, tableSize, ahead, causal, window, sinks, scale || K ** -0.5, softCap]
}
