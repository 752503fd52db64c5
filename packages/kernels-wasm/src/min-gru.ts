import { oneCall, sequenceOf } from './one-call.js'

/** Gates, candidate and recurrence of minGRU in one pass each way. */
export const minGru = oneCall({
  inputs: ['projected', 'h0'],
  sizes(inputs) {
    const [batch, time, both] = sequenceOf(inputs, 'projected')
    return [batch, time, both / 2]
  },
  outputs: (sizes) => ({ h: sizes }),
  call: (kernels) => kernels.minGru,
  backward: {
    call: (kernels) => kernels.minGruBackward,
    seesOutputs: true,
    scratch: (_, [, , width]) => [4 * width],
  },
})
