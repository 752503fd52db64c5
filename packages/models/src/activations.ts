import { type Activation, gelu, geluTanh, relu, silu, tanh } from '@mneme/core-tensor'
import { oneOf, type PublishedConfig } from './published.js'

/** Activations as published configurations name them: `gelu` is the exact form, `gelu_new` that by tanh. */
export const activations = { gelu, gelu_new: geluTanh, relu, silu, tanh } satisfies Record<string, Activation>

export type ActivationName = keyof typeof activations

/** The activation that a published configuration names. @throws RangeError for one that is not here */
export function activationOf(published: PublishedConfig, key: string, fallback: ActivationName): ActivationName {
  const names = ['gelu', 'gelu_new', 'gelu_pytorch_tanh', 'relu', 'silu', 'swish', 'tanh'] as const
  const name = oneOf(published, key, names, fallback)
  if (name === 'gelu_pytorch_tanh') return 'gelu_new'
  return name === 'swish' ? 'silu' : name
}
