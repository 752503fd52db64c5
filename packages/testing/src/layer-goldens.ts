import { type NamedTensor, type SequenceMixer, type State, valueAndGrads } from '@mneme/core-tensor'
import { mean, mul, reshape, type Tensor, transpose, util, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { type Golden, type GoldenTensor, goldens, toTensor } from './goldens.js'
import { inPieces, read, type Sequence, within } from './subject.js'
import { expectClose, tolerances } from './tolerance.js'

/** A mixer of which there is a golden by itself: vectors in, vectors out. */
export interface PublishedLayer<S extends State, M extends SequenceMixer<S> = SequenceMixer<S>> {
  make(config: Readonly<Record<string, unknown>>): M
  /** Our path of each stored name; what is not named here is derived from the rest. */
  readonly paths: Readonly<Record<string, string>>
  /** Stored name of the outputs; `y` if absent. */
  readonly output?: string
  /** Sequences are stored as `[B, D, T]`. */
  readonly channelsFirst?: boolean
  /** By the stored name of a state: ours, in the stored order of values. */
  readonly states?: Readonly<Record<string, (ours: S) => Tensor>>
  /** By the stored name of what follows from the parameters alone: ours, for so many tokens. */
  readonly derived?: Readonly<Record<string, (mixer: M, length: number) => Tensor>>
}

/** Holds a mixer to the golden of one layer: outputs, single steps, states, and all gradients. */
export function describeLayer<S extends State, M extends SequenceMixer<S>>(
  name: string,
  layer: PublishedLayer<S, M>,
): void {
  for (const golden of goldens()) {
    if (golden.name === name) describeGolden(golden, layer as unknown as PublishedLayer<State>)
  }
}

function describeGolden(
  golden: Golden,
  { make, paths, output = 'y', channelsFirst, states, derived }: PublishedLayer<State>,
): void {
  const expected = golden.read('expected')
  const value = (name: string): GoldenTensor => expected.get(name) as GoldenTensor
  const sequence = (name: string): Tensor => {
    const stored = toTensor(value(name))
    return channelsFirst ? transpose(stored, [0, 2, 1]) : stored
  }
  /** Trailing axes of 1, which convolutions of one tap have, are left out by taking our shape. */
  const build = (): Sequence => {
    const mixer = make(golden.json('config'))
    const shapes = new Map(Array.from(mixer.namedParameters(), ([path, v]) => [path, v.shape]))
    const named: Record<string, NamedTensor> = {}
    for (const [name, { shape, values }] of golden.read('weights')) {
      const path = paths[name]
      if (path === undefined) continue
      const ours = shapes.get(path)
      named[path] = { shape: ours && util.sizeFromShape(ours) === values.length ? ours : shape, values }
    }
    mixer.loadStateDict(named)
    return mixer as unknown as Sequence
  }

  describe(`golden ${golden.name}`, () => {
    test('outputs, whole and token by token, and the states at the end', async () => {
      await within(async () => {
        const mixer = build()
        const x = sequence('x')
        const T = x.shape[1] as number
        const whole = mixer.forward(x)
        const steps = inPieces(mixer, x, Array<number>(T).fill(1))
        const wanted = await read(sequence(output))
        expectClose(await read(whole.y), wanted, tolerances.forward(), 'whole')
        expectClose(await read(steps.y), wanted, tolerances.forward(), 'token by token')
        if (expected.has(`${output}_step`)) {
          expectClose(await read(steps.y), await read(sequence(`${output}_step`)), tolerances.forward(), 'their steps')
        }
        for (const [name, of] of Object.entries(states ?? {})) {
          expectClose(await read(of(whole.state)), value(name).values, tolerances.forward(), name)
          expectClose(await read(of(steps.state)), value(name).values, tolerances.forward(), `${name}, in steps`)
        }
        for (const [name, of] of Object.entries(derived ?? {})) {
          const ours = of(mixer as unknown as SequenceMixer, T)
          expectClose(await read(ours), value(name).values, tolerances.forward(), name)
        }
        mixer.dispose()
      })
    })

    test('gradients of every parameter', async () => {
      await within(async () => {
        const mixer = build()
        const weights = sequence(`g.${output}`)
        const parameters = [...mixer.namedParameters()].filter(([, v]) => v.trainable)
        const { value: loss, grads } = valueAndGrads(
          () => mean(mul(mixer.forward(sequence('x')).y, weights)),
          parameters.map(([, v]) => v),
        )
        expectClose(await read(reshape(loss, [1])), value('loss').values, 1e-5, 'loss')
        const stored = new Map([...golden.read('grads')].map(([name, g]) => [paths[name], g]))
        expect([...stored.keys()].sort()).toEqual(parameters.map(([path]) => path).sort())
        for (const [i, [path, v]] of parameters.entries()) {
          const wanted = stored.get(path) as GoldenTensor
          expectClose(await read(grads[i] ?? zeros(v.shape)), wanted.values, tolerances.gradient(), path)
        }
        mixer.dispose()
      })
    })
  })
}
