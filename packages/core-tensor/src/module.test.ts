import { read } from '@mneme/testing/subject'
import { memory, scalar, tensor1d, tidy, type Variable } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { Module, parameter } from './module.js'

class Leaf extends Module {
  readonly weight: Variable
  readonly buffer: Variable
  constructor(...values: number[]) {
    super()
    this.weight = parameter(tensor1d(values))
    this.buffer = parameter(scalar(0), false)
  }
}

/** Nested, in arrays, tied, and with fields that are no parameters. */
class Tree extends Module {
  readonly first = new Leaf(1, 2)
  readonly rest = [new Leaf(3), new Leaf(4, 5, 6)]
  readonly tied: Variable = this.first.weight
  readonly absent: Variable | null = null
  readonly label = 'tree'
  readonly numbers = [1, 2]
  readonly scale = parameter(scalar(7))
}

const paths = (module: Module): string[] => Array.from(module.namedParameters(), ([path]) => path)

function withTree(body: (tree: Tree) => Promise<void>): () => Promise<void> {
  return async () => {
    const before = memory().numTensors
    const tree = new Tree()
    await body(tree)
    tree.dispose()
    expect(memory().numTensors).toBe(before)
  }
}

describe('Module', () => {
  test(
    'paths follow the fields and their arrays; a tied variable stands under each',
    withTree(async (tree) => {
      expect(paths(tree)).toEqual([
        'first.weight',
        'first.buffer',
        'rest.0.weight',
        'rest.0.buffer',
        'rest.1.weight',
        'rest.1.buffer',
        'tied',
        'scale',
      ])
    }),
  )

  test(
    'parameters: trainable, tied ones once',
    withTree(async (tree) => {
      expect(tree.parameters().map(({ size }) => size)).toEqual([2, 1, 3, 1])
      expect(tree.parameterCount()).toBe(7)
    }),
  )

  test(
    'the state dict holds values of its own, tied ones under their first path, buffers too',
    withTree(async (tree) => {
      const values = await tree.stateDict()
      expect(Object.keys(values)).toEqual(paths(tree).filter((path) => path !== 'tied'))
      expect(values['rest.1.weight']).toEqual({ shape: [3], values: Float32Array.of(4, 5, 6) })
      tidy(() => tree.first.weight.assign(tensor1d([9, 9])))
      expect(values['first.weight']?.values).toEqual(Float32Array.of(1, 2))
    }),
  )

  test(
    'what is saved can be loaded, also under the other name of a tied variable',
    withTree(async (tree) => {
      const { 'first.weight': _, ...others } = await tree.stateDict()
      const report = tree.loadStateDict({ ...others, tied: { shape: [2], values: Float32Array.of(8, 9) } })
      expect(report).toMatchObject({ missing: [], unexpected: [], misshapen: [] })
      expect([...(await read(tree.first.weight))]).toEqual([8, 9])
    }),
  )

  test(
    'a misfit is told whole, with the nearest name, and changes nothing',
    withTree(async (tree) => {
      const { scale, 'rest.0.weight': moved, ...others } = await tree.stateDict()
      const wrong = {
        ...others,
        scael: scale ?? { shape: [], values: Float32Array.of(0) },
        'rest.1.weight': { shape: [2], values: Float32Array.of(0, 0) },
        'first.weight': { shape: [2], values: Float32Array.of(0, 0) },
      }
      expect(moved?.shape).toEqual([1])
      const load = (): unknown => tree.loadStateDict(wrong)
      expect(load).toThrow(/missing 'scale' \(is it 'scael'\?\)/)
      expect(load).toThrow(/missing 'rest\.0\.weight'/)
      expect(load).toThrow(/unexpected 'scael'/)
      expect(load).toThrow(/'rest\.1\.weight': expected \[3\], got \[2\]/)
      expect([...(await read(tree.first.weight))]).toEqual([1, 2])
    }),
  )

  test(
    'not strictly, what fits is loaded and the rest reported',
    withTree(async (tree) => {
      const given = {
        scale: { shape: [], values: Float32Array.of(5) },
        other: { shape: [], values: Float32Array.of(1) },
      }
      const report = tree.loadStateDict(given, { strict: false })
      expect(report.loaded).toEqual(['scale'])
      expect(report.unexpected).toEqual(['other'])
      expect(report.missing).toContain('first.weight')
      expect([...(await read(tree.scale))]).toEqual([5])
    }),
  )

  test('disposing frees every variable once, and may be repeated', () => {
    const before = memory().numTensors
    const tree = new Tree()
    tree.dispose()
    tree.dispose()
    expect(memory().numTensors).toBe(before)
  })
})

describe('parameter', () => {
  test('takes over its initial value; buffers are not trainable', async () => {
    const before = memory().numTensors
    const initial = tensor1d([1, 2])
    const [weight, buffer] = [parameter(initial), parameter(scalar(3), false)]
    expect(initial.isDisposed).toBe(true)
    expect([weight.trainable, buffer.trainable]).toEqual([true, false])
    expect([...(await read(weight))]).toEqual([1, 2])
    weight.dispose()
    buffer.dispose()
    expect(memory().numTensors).toBe(before)
  })

  test('variables bear names that no two share, however many models there are', () => {
    const trees = [new Tree(), new Tree()]
    const names = trees.flatMap((tree) => tree.parameters().map(({ name }) => name))
    expect(new Set(names).size).toBe(names.length)
    for (const tree of trees) tree.dispose()
  })
})
