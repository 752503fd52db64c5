import { reshape, sum, type Tensor } from '@tensorflow/tfjs-core'

/** Sums over every axis but the last. */
export const sumOverRows = (x: Tensor): Tensor => sum(reshape(x, [-1, x.shape[x.rank - 1] as number]), 0)
