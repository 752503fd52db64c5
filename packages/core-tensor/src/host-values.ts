import { engine, type Tensor } from '@tensorflow/tfjs-core'

/** By data, of tensors that decide what is run. */
const known = new WeakMap<object, ArrayLike<number>>()

/**
 * Keeps the values of a tensor that was made of host data. webgpu gives them up when an op first takes the tensor to the
 * device, from where they cannot be read at once.
 */
export function keepHostValues({ dataId }: Tensor): void {
  if (known.has(dataId)) return
  type Lazy = { readonly tensorMap?: { get(id: object): { readonly values?: ArrayLike<number> | null } } }
  const backend = engine().state.tensorInfo.get(dataId)?.backend as Lazy | undefined
  const values = backend?.tensorMap?.get(dataId).values
  if (values) known.set(dataId, values)
}

/** The values of a tensor, at once. @throws Error where they are on a device that is read later */
export function hostValues(x: Tensor): ArrayLike<number> {
  keepHostValues(x)
  const values = known.get(x.dataId) ?? x.dataSync()
  known.set(x.dataId, values)
  return values
}
