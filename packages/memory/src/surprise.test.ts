import { deltaRule, Rng, vjp } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import {
  add,
  concat,
  exp,
  fill,
  log,
  matMul,
  mean,
  mul,
  onesLike,
  reshape,
  slice,
  square,
  sub,
  sum,
  type Tensor,
  tensor,
  tensor3d,
  zeros,
  zerosLike,
} from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { type FastWeights, MemoryNet, type MemoryNetOptions } from './memory-net.js'
import { type FastState, type Surprises, storeAndRead } from './surprise.js'

const matrix = (width: number): MemoryNet =>
  new MemoryNet({ width, depth: 1, expansion: 1, normed: false, lossReduction: 'sum' })

/** ln of a gate that is shut: its exponential is exactly 0. */
const SHUT = -1e4

const draws = (rng: Rng, shape: number[], scale = 1): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => scale * rng.normal()),
    shape,
  )
const gates = (rng: Rng, N: number, T: number): Tensor =>
  tensor(
    Float32Array.from({ length: N * T }, () => rng.uniform()),
    [N, T, 1],
  )
const same = (value: number, N: number, T: number): Tensor => fill([N, T, 1], value)

function start(weights: FastWeights, momentum = true): FastState {
  return { weights, momentum: momentum ? weights.map((W) => zerosLike(W)) : null, point: null, filled: 0 }
}

/** Random tokens for N memories; steps small enough that descent does not overshoot, which would magnify rounding. */
function tokens(rng: Rng, N: number, T: number, K: number): Surprises {
  return {
    q: draws(rng, [N, T, K]),
    k: draws(rng, [N, T, K], 0.7),
    v: draws(rng, [N, T, K]),
    step: mul(gates(rng, N, T), 0.03),
    logDecay: log(sub(1, mul(gates(rng, N, T), 0.3))),
    logMomentum: log(gates(rng, N, T)),
  }
}

const at = (x: Tensor, t: number): Tensor => slice(x, [0, t, 0], [x.shape[0] as number, 1, x.shape[2] as number])

/** The recurrence as it is written, one token after the other, with gradients from the tape. One memory. */
function oneByOne(net: MemoryNet, initial: FastWeights, given: Surprises, chunk: number) {
  const T = given.k.shape[1] as number
  let [W, S, point] = [initial, initial.map((w) => zerosLike(w)), initial]
  const reads: Tensor[] = []
  for (let t = 0; t < T; t++) {
    if (t % chunk === 0) point = W
    const error = () => {
      const gap = square(sub(net.forward(point, at(given.k, t)), at(given.v, t)))
      return [net.options.lossReduction === 'sum' ? sum(gap) : mean(gap)]
    }
    const slopes = vjp(error, [...point], [fill([], 1)])
    const gate = (x: Tensor): Tensor => reshape(at(x, t), [])
    S = S.map((s, i) =>
      sub(
        given.logMomentum ? mul(s, exp(gate(given.logMomentum))) : zerosLike(s),
        mul(slopes[i] as Tensor, gate(given.step)),
      ),
    )
    W = W.map((w, i) => add(mul(w, exp(gate(given.logDecay))), S[i] as Tensor))
    reads.push(net.forward(W, at(given.q, t)))
  }
  return { read: concat(reads, 1), weights: W, momentum: S }
}

describe('storeAndRead', () => {
  test.each([
    [0, [0.5, 1]],
    [0.1, [0.5, 0.95]],
  ])('by hand: one weight, decay %f', async (alpha, expected) => {
    await within(async () => {
      const ones = fill([1, 2, 1], 1)
      const given = {
        q: ones,
        k: ones,
        v: ones,
        step: same(0.25, 1, 2),
        logDecay: same(Math.log(1 - alpha), 1, 2),
        logMomentum: same(Math.log(0.5), 1, 2),
      }
      const { read: y } = storeAndRead(matrix(1), start([zeros([1, 1, 1])]), given, 1)
      expectClose(await read(y), expected, 1e-6, 'weight after each token')
    })
  })

  test.each([
    [1, [0.36584, 0.05416, -0.12704, 0.50704], [0.2, -0.2, 0.244, 0.256, -0.12704, 0.50704]],
    [3, [0.386, 0.034, -0.088, 0.548], [0.2, -0.2, 0.268, 0.232, -0.088, 0.548]],
  ])('a matrix, chunks of %i: the published example', async (chunk, weights, outputs) => {
    await within(async () => {
      const k = tensor3d([1, 0, 0.6, 0.8, 0, 1], [1, 3, 2])
      const given = {
        q: k,
        k,
        v: tensor3d([1, -1, 0.5, 2, -1, 0.5], [1, 3, 2]),
        step: same(0.1, 1, 3),
        logDecay: same(Math.log(0.9), 1, 3),
        logMomentum: same(Math.log(0.5), 1, 3),
      }
      const { read: y, state } = storeAndRead(matrix(2), start([zeros([1, 2, 2])]), given, chunk)
      expectClose(await read(y), outputs, 1e-6, 'reads')
      expectClose(await read(state.weights[0] as Tensor), weights, 1e-6, 'weights')
    })
  })

  test('an MLP with norm and residual: the published step', async () => {
    await within(async () => {
      const net = new MemoryNet({ width: 3, depth: 2, expansion: 2 / 3, normed: true, lossReduction: 'sum' })
      const initial = [
        zeros([1, 3]),
        tensor([0.5, -0.2, 0.1, 0.3, -0.4, 0.2], [1, 3, 2]),
        tensor([0.2, 0.4, -0.1, -0.3, 0.1, 0.5], [1, 2, 3]),
      ]
      const k = tensor3d([1, 0, -1], [1, 1, 3])
      const given = {
        q: k,
        k,
        v: tensor3d([0.5, 1, 0], [1, 1, 3]),
        step: same(0.1, 1, 1),
        logDecay: same(0, 1, 1),
        logMomentum: null,
      }
      expectClose(await read(net.forward(initial, k)), [1.438891, 0.944632, -2.383522], 1e-6, 'prediction')
      const { read: y, state } = storeAndRead(net, start(initial, false), given, 1)
      const expected = [
        [-0.082414, 0.010461, -0.659531],
        [0.595839, -0.104241, 0.1, 0.3, -0.495839, 0.104241],
        [-0.531809, 0.972453, 0.059356, -0.162645, -0.007445, 0.47009],
      ]
      for (const [i, W] of state.weights.entries()) {
        expectClose(await read(W), expected[i] as number[], 2e-6, `weight ${i}`)
      }
      expectClose(await read(y), [-0.003562, 1.337109, -1.078161], 2e-6, 'read')
    })
  })

  const nets: Readonly<Record<string, MemoryNetOptions>> = {
    'a matrix': { width: 3, depth: 1, expansion: 1, normed: false, lossReduction: 'sum' },
    'a normed matrix, mean loss': { width: 3, depth: 1, expansion: 1, normed: true, lossReduction: 'mean' },
    'an MLP': { width: 3, depth: 2, expansion: 2, normed: false, lossReduction: 'sum' },
    'a normed MLP of three layers': { width: 3, depth: 3, expansion: 2, normed: true, lossReduction: 'sum' },
  }
  for (const [name, options] of Object.entries(nets)) {
    test.each([1, 4, 16])(
      `${name}, chunks of %i: equals the recurrence with gradients from the tape`,
      async (chunk) => {
        await within(async () => {
          const rng = new Rng(5)
          const net = new MemoryNet(options)
          const drawn = net.draw(1, rng)
          const given = tokens(rng, 1, 10, 3)
          const expected = oneByOne(net, drawn, given, chunk)
          const actual = storeAndRead(net, start(drawn), given, chunk)
          expectClose(await read(actual.read), await read(expected.read), 1e-5, 'reads')
          for (const [i, W] of actual.state.weights.entries()) {
            expectClose(await read(W), await read(expected.weights[i] as Tensor), 1e-5, `weight ${i}`)
            const S = actual.state.momentum?.[i] as Tensor
            expectClose(await read(S), await read(expected.momentum[i] as Tensor), 1e-5, `momentum ${i}`)
          }
        })
      },
    )
  }

  test('a matrix without momentum and decay, token by token, is the delta rule with beta = 2 θ', async () => {
    await within(async () => {
      const given = tokens(new Rng(1), 2, 9, 4)
      const plain = { ...given, logDecay: zerosLike(given.logDecay), logMomentum: null }
      const heads = (x: Tensor): Tensor => reshape(x, [2, 9, 1, -1])
      const { o, state: S } = deltaRule(
        { q: heads(given.q), k: heads(given.k), v: heads(given.v), beta: reshape(mul(given.step, 2), [2, 9, 1]) },
        { scale: 1, chunk: 4 },
      )
      const shut = { ...plain, logMomentum: mul(onesLike(given.logDecay), SHUT) }
      for (const variant of [plain, shut]) {
        const initial = start([zeros([2, 4, 4])], variant.logMomentum !== null)
        const { read: y, state } = storeAndRead(matrix(4), initial, variant, 1)
        expectClose(await read(y), await read(o), 1e-5, 'reads')
        expectClose(await read(state.weights[0] as Tensor), await read(S), 1e-5, 'weights')
      }
    })
  })

  test.each([1, 4])(
    'an MLP without momentum and decay, in mini batches of %i, is plain gradient descent: TTT-MLP',
    async (chunk) => {
      await within(async () => {
        const rng = new Rng(6)
        const net = new MemoryNet({ width: 3, depth: 2, expansion: 4, normed: true, lossReduction: 'sum' })
        const drawn = net.draw(1, rng)
        const given = { ...tokens(rng, 1, 9, 3), logDecay: zeros([1, 9, 1]), logMomentum: null }
        let [W, point] = [drawn as FastWeights, drawn as FastWeights]
        const reads: Tensor[] = []
        for (let t = 0; t < 9; t++) {
          if (t % chunk === 0) point = W
          const error = (): Tensor[] => [sum(square(sub(net.forward(point, at(given.k, t)), at(given.v, t))))]
          const slopes = vjp(error, [...point], [fill([], 1)])
          W = W.map((w, i) => sub(w, mul(slopes[i] as Tensor, reshape(at(given.step, t), []))))
          reads.push(net.forward(W, at(given.q, t)))
        }
        const actual = storeAndRead(net, start(drawn, false), given, chunk)
        expectClose(await read(actual.read), await read(concat(reads, 1)), 1e-5, 'reads')
        for (const [i, w] of actual.state.weights.entries()) {
          expectClose(await read(w), await read(W[i] as Tensor), 1e-5, `weight ${i}`)
        }
      })
    },
  )

  test('a matrix with decay corrects what it held before the decay', async () => {
    await within(async () => {
      const given = { ...tokens(new Rng(2), 1, 6, 3), logMomentum: null }
      let W: Tensor = zeros([1, 3, 3])
      for (let t = 0; t < 6; t++) {
        const [k, v] = [at(given.k, t), at(given.v, t)]
        const correction = matMul(k, mul(sub(matMul(k, W), v), mul(at(given.step, t), 2)), true, false)
        W = sub(mul(W, exp(at(given.logDecay, t))), correction)
      }
      const { state } = storeAndRead(matrix(3), start([zeros([1, 3, 3])], false), given, 1)
      expectClose(await read(state.weights[0] as Tensor), await read(W), 1e-5, 'weights')
    })
  })

  test('without a step only the decay is left', async () => {
    await within(async () => {
      const rng = new Rng(3)
      const net = new MemoryNet({ width: 3, depth: 2, expansion: 2, normed: true, lossReduction: 'sum' })
      const given = { ...tokens(rng, 1, 7, 3), step: same(0, 1, 7) }
      const drawn = net.draw(1, rng)
      const { state } = storeAndRead(net, start(drawn), given, 3)
      const share = exp(sum(given.logDecay))
      for (const [i, W] of state.weights.entries()) {
        expectClose(await read(W), await read(mul(drawn[i] as Tensor, share)), 1e-5, `weight ${i}`)
      }
    })
  })

  test('gates that are shut leave finite, exact products', async () => {
    await within(async () => {
      const given = tokens(new Rng(4), 1, 8, 3)
      const closed = tensor([0, 0, SHUT, 0, 0, 0, SHUT, 0], [1, 8, 1])
      const { read: y, state } = storeAndRead(
        matrix(3),
        start([zeros([1, 3, 3])]),
        { ...given, logDecay: closed, logMomentum: closed },
        8,
      )
      const later = { ...given, logDecay: closed, logMomentum: closed }
      const expected = oneByOne(matrix(3), [zeros([1, 3, 3])], later, 8)
      expectClose(await read(y), await read(expected.read), 1e-5, 'reads')
      expect((await read(state.weights[0] as Tensor)).every(Number.isFinite)).toBe(true)
    })
  })
})
