import { matMul, reshape, type Tensor, transpose } from '@tensorflow/tfjs-core'

/**
 * Each of H equal parts of x `[B, T, D]` through its own matrix, `[B, T, H out]`: weight `[H, in, out]`, or `[H, out, in]`
 * where `outFirst`.
 */
export function blockDiagonal(x: Tensor, weight: Tensor, outFirst = false): Tensor {
  const [B, T] = x.shape as [number, number, number]
  const H = weight.shape[0] as number
  const byHead = transpose(reshape(x, [B * T, H, -1]), [1, 0, 2])
  return reshape(transpose(matMul(byHead, weight, false, outFirst), [1, 0, 2]), [B, T, -1])
}
