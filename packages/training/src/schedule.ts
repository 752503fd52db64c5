export interface ScheduleOptions {
  readonly schedule: 'cosine' | 'wsd' | 'constant'
  /** Largest learning rate. */
  readonly lr: number
  /** Steps of linear rise from 0. */
  readonly warmup: number
  /** Steps in all. */
  readonly steps: number
  /** Last learning rate over the largest. */
  readonly minLr: number
  /** Share of the steps that `wsd` (warm-up, stable, decay) spends on its linear decay. */
  readonly decay: number
}

/**
 * Learning rate of a step, counted from 0.
 * Source: Loshchilov and Hutter 2017, arXiv:1608.03983 (cosine); Hu et al. 2024, arXiv:2404.06395 (warm-up, stable, decay).
 */
export function learningRate(step: number, { schedule, lr, warmup, steps, minLr, decay }: ScheduleOptions): number {
  if (step < warmup) return (lr * (step + 1)) / warmup
  if (schedule === 'constant') return lr
  const floor = lr * minLr
  if (schedule === 'cosine') {
    const progress = Math.min(1, (step - warmup) / Math.max(1, steps - warmup))
    return floor + (lr - floor) * 0.5 * (1 + Math.cos(Math.PI * progress))
  }
  const start = steps - Math.max(1, Math.round(decay * steps))
  const progress = Math.min(1, Math.max(0, (step - start) / (steps - start)))
  return lr - (lr - floor) * progress
}
