import { normal, Rng, valueAndGrads } from '@mneme/core-tensor'
import { describeKernels, kernel } from '@mneme/testing/kernel-goldens'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import {
  add,
  div,
  fill,
  matMul,
  mean,
  mul,
  reshape,
  slice,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  zeros,
} from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { tttLinear } from './ttt-linear.js'

describeKernels({
  'kernel-ttt-linear': kernel(['q', 'k', 'v', 'w', 'b', 'eta'], ({ q, k, v, w, b, eta }, golden) => {
    const [, chunk] = /mini batch (\d+)/.exec(String(golden.json('meta').layout)) ?? []
    const { o, state, stateBias } = tttLinear(
      { q, k, v, normWeight: w, normBias: b, step: eta },
      { chunk: Number(chunk) },
    )
    return { o, final_state: state, final_bias: stateBias }
  }),
})

describe('tttLinear', () => {
  const [T, K] = [5, 4]
  const draw = (seed: number, ...shape: number[]) => normal(new Rng(seed), shape, 0.7)

  test('with mini batches of one token it is gradient descent, a step a token, by automatic gradients', async () => {
    await within(async () => {
      const [q, k, v] = [draw(1, 1, T, 1, K), draw(2, 1, T, 1, K), draw(3, 1, T, 1, K)]
      const [normWeight, normBias] = [draw(4, 1, K), draw(5, 1, K)]
      const step = fill([1, T, 1, 1], 0.3)
      const given = { q, k, v, normWeight, normBias, step, state: draw(6, 1, 1, K, K), stateBias: draw(7, 1, 1, 1, K) }
      const layerNorm = (x: Tensor): Tensor => {
        const centred = sub(x, mean(x, -1, true))
        return add(mul(div(centred, sqrt(add(mean(square(centred), -1, true), 1e-6))), normWeight), normBias)
      }
      let [W, b] = [reshape(given.state, [K, K]), reshape(given.stateBias, [1, K])]
      const outputs: Tensor[] = []
      for (let t = 0; t < T; t++) {
        const at = (x: Tensor): Tensor => reshape(slice(x, [0, t, 0, 0], [1, 1, 1, K]), [1, K])
        const loss = (w: Tensor, shift: Tensor): Tensor => {
          const z = add(matMul(at(k) as never, w as never) as Tensor, shift)
          return mul(0.5, sum(square(sub(add(at(k), layerNorm(z)), at(v)))))
        }
        const [dW, db] = valueAndGrads(() => loss(W, b), [W, b]).grads as [Tensor, Tensor]
        W = sub(W, mul(0.3, dW))
        b = sub(b, mul(0.3, db))
        const z = add(matMul(mul(at(q), K ** -0.5) as never, W as never) as Tensor, b)
        outputs.push(add(z, layerNorm(z)))
      }
      const { o, state, stateBias } = tttLinear(given, { chunk: 1 })
      const rows = await Promise.all(outputs.map(read))
      expectClose(
        await read(o),
        rows.flatMap((row) => [...row]),
        1e-4,
        'outputs',
      )
      expectClose(await read(state), await read(W), 1e-4, 'weights')
      expectClose(await read(stateBias), await read(b), 1e-4, 'bias')
    })
  })

  test('without steps the weights stay, whatever the mini batch', async () => {
    await within(async () => {
      const [q, k, v] = [draw(1, 2, T, 2, K), draw(2, 2, T, 2, K), draw(3, 2, T, 2, K)]
      const state = draw(6, 2, 2, K, K)
      const given = { q, k, v, normWeight: draw(4, 2, K), normBias: draw(5, 2, K), step: zeros([2, T, 2, 1]), state }
      const one = tttLinear(given, { chunk: 1 })
      const three = tttLinear(given, { chunk: 3 })
      expectClose(await read(one.o), await read(three.o), 1e-5, 'outputs')
      expectClose(await read(three.state), await read(state), 1e-6, 'weights')
    })
  })
})
