import * as tf from '@tensorflow/tfjs-core'

/**
 * Lets ops be called as methods of tensors, as tfjs-layers does and tfjs-core alone does not. Returns what takes the
 * methods away again.
 */
export function withMethods(): () => void {
  const methods = tf.Tensor.prototype as unknown as Record<string, unknown>
  const added: string[] = []
  const give = (name: string, method: (this: tf.Tensor, ...args: unknown[]) => unknown): void => {
    methods[name] = method
    added.push(name)
  }
  for (const [name, op] of Object.entries(tf)) {
    if (typeof op !== 'function' || name in methods || !/^[a-z]/.test(name)) continue
    give(name, function method(...args) {
      return (op as (...all: unknown[]) => unknown)(this, ...args)
    })
  }
  give('flatten', function flatten() {
    return tf.reshape(this, [-1])
  })
  give('toFloat', function toFloat() {
    return tf.cast(this, 'float32')
  })
  return () => {
    for (const name of added) delete methods[name]
  }
}
