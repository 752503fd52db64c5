import { Rng } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, type Tensor, tensor2d, zerosLike } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import memformer, { moreTiny } from './memformer.js'

const L = memformer.tiny.segment

function draw(seed: number, T: number): Tensor {
  const rng = new Rng(seed)
  return tensor2d(
    Int32Array.from({ length: 2 * T }, () => rng.int(0, memformer.tiny.vocabulary)),
    [2, T],
    'int32',
  )
}

describe.each(Object.entries({ 'as in the paper': memformer.tiny, ...moreTiny }))('Memformer, %s', (_, config) => {
  test('a text is decoded segment by segment, each over the one before', async () => {
    await within(async () => {
      const model = memformer.build(config)
      const ids = draw(1, 3 * L)
      const scores = model.forward(ids).y
      const first = model.encode(span(ids, 0, L))
      const second = model.encode(span(ids, L, L), first.state)
      for (const [s, { y }] of [first, second].entries()) {
        const expected = model.decode(span(ids, (s + 1) * L, L), y)
        expectClose(await read(span(scores, (s + 1) * L, L)), await read(expected), 1e-5, `segment ${s + 1}`)
      }
      model.dispose()
    })
  })

  test('what was read two segments ago comes by way of the slots alone', async () => {
    await within(async () => {
      const model = memformer.build(config)
      const [one, other, text] = [draw(2, L), draw(3, L), draw(4, 2 * L)]
      const last = (first: Tensor): Promise<Float32Array> =>
        read(span(model.forward(concat([first, text], 1)).y, 2 * L, L))
      const memory = (first: Tensor): Tensor => model.encode(first).state
      const [a, b] = [await last(one), await last(other)]
      expect(a).not.toEqual(b)
      const expected = model.decode(span(text, L, L), model.encode(span(text, 0, L), memory(one)).y)
      expectClose(a, await read(expected), 1e-5, 'scores')
      model.dispose()
    })
  })

  test('an encoder that ignores its slots: a plain encoder and decoder, which know of no segment but the last', async () => {
    await within(async () => {
      const model = memformer.build(config)
      // every second layer of the encoder looks at the slots
      for (const [path, v] of model.namedParameters()) {
        if (/^encoder\.body\.layers\.\d*[13579]\.mixer\.attention\.oProj\./.test(path)) v.assign(zerosLike(v))
      }
      const [one, other, text] = [draw(2, L), draw(3, L), draw(4, 2 * L)]
      const last = (first: Tensor): Promise<Float32Array> =>
        read(span(model.forward(concat([first, text], 1)).y, 2 * L, L))
      const plain = model.decode(span(text, L, L), model.encode(span(text, 0, L)).y)
      expectClose(await last(one), await read(plain), 1e-5, 'scores')
      expect(await last(other)).toEqual(await last(one))
      model.dispose()
    })
  })

  test('an encoder alone reads and remembers, and says that it gives no scores', async () => {
    await within(async () => {
      const model = memformer.build({ ...config, decoderLayers: 0, sourceVocabulary: 0 })
      const whole = memformer.build({ ...config, sourceVocabulary: 0 })
      model.loadStateDict(await whole.stateDict(), { strict: false })
      const { y, state } = model.encode(draw(5, L))
      expect(await read(y)).toEqual(await read(whole.encode(draw(5, L)).y))
      expect(state.shape).toEqual([2, config.slots, config.dModel])
      expect(() => model.forward(draw(5, L))).toThrow(/expected a decoder, got an encoder alone/)
      model.dispose()
      whole.dispose()
    })
  })
})
