import { gatedLinearAttention, normal, previousTokens, Rng, silu } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { mul, ones, reshape, sub, type Tensor, tensor, type Variable, zeros } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { mixShift } from './rwkv-shift.js'
import { Rwkv5TimeMix } from './rwkv5.js'
import { Rwkv6TimeMix } from './rwkv6.js'

const [T, D, H] = [13, 8, 2]
const options = { dModel: D, nHeads: H, normEps: 1e-5, chunk: 4, layer: 1, nLayers: 3 }
const none = (variable: Variable): void => variable.assign(zeros(variable.shape))

describe('RWKV-6', () => {
  test('with blends and decay that no token changes is RWKV-5', async () => {
    await within(async () => {
      const five = new Rwkv5TimeMix(options, new Rng(1))
      const six = new Rwkv6TimeMix({ ...options, expandK: 1, shiftRank: 2, decayRank: 3 }, new Rng(2))
      none(six.shiftUp)
      none(six.decay.up.weight)
      six.decay.up.bias?.assign(reshape(five.timeDecay, [D]))
      six.bonus.assign(five.timeFaaaa)
      const mixes = [five.timeMixReceptance, five.timeMixKey, five.timeMixKey, five.timeMixValue, five.timeMixGate]
      // there the share of the current token, here of the one before; w has none in RWKV-5
      const shares = await Promise.all(mixes.map((mix) => read(sub(1, mix))))
      six.shiftBias.assign(
        tensor(
          shares.flatMap((s) => [...s]),
          [5, D],
        ),
      )
      const pairs: [Variable, Variable][] = [
        [six.rProj.weight, five.receptance.weight],
        [six.kProj.weight, five.key.weight],
        [six.vProj.weight, five.value.weight],
        [six.gProj.weight, five.gate.weight],
        [six.oProj.weight, five.output.weight],
      ]
      for (const [to, from] of pairs) to.assign(from)
      const x = normal(new Rng(3), [2, T, D], 1)
      expectClose(await read(six.forward(x).y), await read(five.forward(x).y), 1e-5, 'outputs')
      for (const mixer of [five, six]) mixer.dispose()
    })
  })
})

describe('RWKV-5', () => {
  test('without decay and with a bonus of one is linear attention', async () => {
    await within(async () => {
      const mixer = new Rwkv5TimeMix(options, new Rng(4))
      mixer.timeDecay.assign(mul(ones([H, D / H]), -40))
      mixer.timeFaaaa.assign(ones([H, D / H]))
      const x = normal(new Rng(5), [2, T, D], 1)
      const { previous: before } = previousTokens(x, zeros([2, D]), null)
      const mixed = (mix: Tensor): Tensor => mixShift(x, before, mix, 'current')
      const heads = (y: Tensor): Tensor => reshape(y, [2, T, H, D / H])
      const { o } = gatedLinearAttention(
        {
          q: heads(mixer.receptance.forward(mixed(mixer.timeMixReceptance))),
          k: heads(mixer.key.forward(mixed(mixer.timeMixKey))),
          v: heads(mixer.value.forward(mixed(mixer.timeMixValue))),
        },
        { scale: 1 },
      )
      const gate = silu(mixer.gate.forward(mixed(mixer.timeMixGate)))
      const expected = mixer.output.forward(mul(mixer.lnX.forward(reshape(o, [2, T, D])), gate))
      expectClose(await read(mixer.forward(x).y), await read(expected), 1e-5, 'outputs')
      mixer.dispose()
    })
  })
})
