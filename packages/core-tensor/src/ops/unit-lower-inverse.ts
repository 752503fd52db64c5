import { expandDims, eye, matMul, mul, sub, type Tensor, tensor2d } from '@tensorflow/tfjs-core'

/**
 * Inverse of I + A for strictly lower triangular A `[N, C, C]`, by doubling the size of inverted diagonal blocks. Each
 * round only combines finished blocks, as forward substitution does: powers of A, which overflow when keys repeat,
 * never appear.
 */
export function unitLowerInverse(A: Tensor): Tensor {
  const C = A.shape[1] as number
  let inverse: Tensor = expandDims(eye(C), 0)
  for (let size = 1; size < C; size *= 2) {
    const block = tensor2d(
      Float32Array.from({ length: C * C }, (_, n) => {
        const [i, j] = [Math.floor(n / C), n % C]
        const samePair = Math.floor(i / (2 * size)) === Math.floor(j / (2 * size))
        return samePair && i % (2 * size) >= size && j % (2 * size) < size ? 1 : 0
      }),
      [C, C],
    )
    const below = mul(A, block)
    inverse = sub(inverse, size === 1 ? below : matMul(matMul(inverse, below), inverse))
  }
  return inverse
}
