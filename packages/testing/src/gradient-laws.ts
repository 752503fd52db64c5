import {
  advance,
  detach,
  disposeState,
  type Mixed,
  mapState,
  Rng,
  type State,
  stateTensors,
  valueAndGrads,
} from '@mneme/core-tensor'
import { add, getBackend, memory, mul, square, sum, type Tensor, tensor, type Variable } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import { onBackend, read, readState, type Sequence, type Subject, within } from './subject.js'
import { expectClose, tolerances } from './tolerance.js'

const software = process.env.MNEME_BACKEND === 'webgpu'
const LENGTH = software ? 7 : 11
/** Steps over which tensors are counted; a software GPU takes a tenth of a second for one. */
const STEPS = software ? 6 : 20

interface Problem {
  readonly model: Sequence
  readonly x: Tensor
  readonly cotangent: Tensor
  readonly state: State
  readonly output: Mixed<State>
  readonly parameters: readonly (readonly [path: string, variable: Variable])[]
}

/** A loss that every output counts in, from a state that is not the initial one. */
function problem(subject: Subject): Problem {
  const model = subject.make(1)
  // where gradients are cut, both runs start at a cut and end before the next: there they are true slopes
  const warm = model.traits.backprop ?? 6
  const state = detach(model.forward(subject.draw(new Rng(20), 2, warm)).state)
  const x = subject.draw(new Rng(21), 2, model.traits.backprop ?? LENGTH)
  const output = model.forward(x, state)
  const rng = new Rng(22)
  const cotangent = tensor(
    Float32Array.from({ length: output.y.size }, () => rng.normal()),
    output.y.shape,
  )
  const seen = new Set<Variable>()
  const parameters = [...model.namedParameters()].filter(([, v]) => v.trainable && !seen.has(v) && seen.add(v))
  return { model, x, cotangent, state, output, parameters }
}

/** Both from the learned initial state and from a given one: either path may hold parameters of its own. */
function loss({ model, x, cotangent }: Problem, state: State): Tensor {
  return add(sum(mul(model.forward(x, state).y, cotangent)), sum(mul(model.forward(x).y, cotangent)))
}

interface HostLoss {
  readonly value: number
  /** About how far float32 outputs put the value off. */
  readonly noise: number
}

/** The same loss, summed on the host in float64: finite differences need every digit that the outputs have. */
async function hostLoss({ model, x, cotangent }: Problem, state: State): Promise<HostLoss> {
  const weights = await read(cotangent)
  let value = 0
  let squares = 0
  for (const outputs of [await read(model.forward(x, state).y), await read(model.forward(x).y)]) {
    for (let i = 0; i < outputs.length; i++) {
      const term = (outputs[i] as number) * (weights[i] as number)
      value += term
      squares += term * term
    }
  }
  return { value, noise: 16 * 2 ** -24 * Math.sqrt(squares) }
}

interface Gradients {
  readonly parameters: readonly (Float32Array | null)[]
  readonly state: readonly (Float32Array | null)[]
}

async function gradients(p: Problem): Promise<Gradients> {
  const leaves = stateTensors(p.state).filter((t) => t.dtype === 'float32')
  const { grads } = valueAndGrads(() => loss(p, p.state), [...p.parameters.map(([, v]) => v), ...leaves])
  const values = await Promise.all(grads.map((g) => (g === null ? null : read(g))))
  return { parameters: values.slice(0, p.parameters.length), state: values.slice(p.parameters.length) }
}

/** Holds every gradient of a subject to the laws: it is there, it is finite, it is a slope, and it is that of cpu. */
export function describeGradients(subject: Subject): void {
  test('gradients: every parameter and the state, finite and not zero; as on cpu', async () => {
    await within(async () => {
      const p = problem(subject)
      const { parameters, state } = await gradients(p)
      for (const [i, [path]] of p.parameters.entries()) expectLive(parameters[i], path)
      if (p.model.traits.causal) {
        expect(
          state.some((g) => g !== null),
          'some gradient reaches the state',
        ).toBe(true)
      }
      for (const [i, g] of state.entries()) if (g !== null) expect(g.every(Number.isFinite), `state ${i}`).toBe(true)
      const here = { y: await read(p.output.y), state: await readState(p.output.state) }
      p.model.dispose()
      if (getBackend() === 'cpu') return
      // of the backend that is judged, not of the one it is compared with
      const limit = tolerances.forward()
      await onBackend('cpu', async () => {
        const q = problem(subject)
        expectClose(here.y, await read(q.output.y), limit, 'outputs')
        for (const [i, values] of (await readState(q.output.state)).entries()) {
          expectClose(here.state[i] as Float32Array, values, limit, `state ${i}`)
        }
        const there = await gradients(q)
        for (const [i, [path]] of q.parameters.entries()) {
          expectClose(
            parameters[i] as Float32Array,
            there.parameters[i] as Float32Array,
            tolerances.gradient(),
            `gradient of ${path}`,
          )
        }
        q.model.dispose()
      })
    })
  })

  test.runIf(process.env.MNEME_BACKEND === 'cpu')('gradients: agree with finite differences', async () => {
    await within(async () => {
      const p = problem(subject)
      const { parameters, state } = await gradients(p)
      const { noise } = await hostLoss(p, p.state)
      const slopes = p.parameters.map(([path, v], i) => ({
        path,
        v,
        base: v.clone(),
        g: parameters[i] as Float32Array,
      }))
      for (const group of inGroups(slopes)) {
        const ends = group.map(({ base, g }) => ({ at: base, g }))
        await expectSlope(ends, group.map(({ path }) => path).join(', '), noise, async (values) => {
          for (const [j, { v }] of group.entries()) v.assign(values[j] as Tensor)
          return (await hostLoss(p, p.state)).value
        })
        for (const { v, base } of group) v.assign(base)
      }
      const leaves = stateTensors(p.state).filter((t) => t.dtype === 'float32')
      const reached = leaves.flatMap((at, i) => (state[i] ? [{ at, g: state[i] }] : []))
      for (const group of inGroups(reached)) {
        await expectSlope(group, `${group.length} tensors of the state`, noise, async (values) => {
          const moved = new Map(group.map(({ at }, j) => [at, values[j] as Tensor]))
          return (
            await hostLoss(
              p,
              mapState(p.state, (t) => moved.get(t) ?? t),
            )
          ).value
        })
      }
      p.model.dispose()
    })
  })

  test('memory: no tensor is left behind by a training step or a step of inference', async () => {
    await within(async () => {
      const model = subject.make(1)
      const parameters = model.parameters()
      const x = subject.draw(new Rng(40), 1, 2)
      let state = model.initialState(1)
      const counts: number[] = []
      for (let i = 0; i < STEPS; i++) {
        const { value, grads } = valueAndGrads(() => sum(square(model.forward(x).y)), parameters)
        for (const t of [value, ...grads]) t?.dispose()
        state = advance(state, () => ({ state: model.forward(x, state).state })).state
        counts.push(memory().numTensors - stateTensors(state).length)
      }
      disposeState(state)
      expect(counts.at(-1), `tensors after each step: ${counts.join(', ')}`).toBe(counts[1])
      model.dispose()
    })
  })
}

function expectLive(g: Float32Array | null | undefined, path: string): void {
  expect(g, `${path} has a gradient`).not.toBeNull()
  expect(g?.every(Number.isFinite), `${path}: gradient is finite`).toBe(true)
  expect(
    g?.some((value) => value !== 0),
    `${path}: gradient is not zero`,
  ).toBe(true)
}

/** At most so many differences are taken: what has few tensors is tried one by one, a whole model in groups of them. */
const MOST_SLOPES = 8

function inGroups<T>(all: readonly T[]): T[][] {
  const size = Math.ceil(all.length / MOST_SLOPES)
  return Array.from({ length: Math.ceil(all.length / size) || 0 }, (_, i) => all.slice(i * size, (i + 1) * size))
}

interface Slope {
  readonly at: Tensor
  readonly g: Float32Array
}

/**
 * Slope along one random direction, by a four-point difference, against the gradient's product with it. Each tensor moves
 * by a share of its own size. Where they disagree, the step may have been too long, or gone over a kink: it is made smaller
 * as long as float32 outputs allow.
 */
async function expectSlope(
  slopes: readonly Slope[],
  label: string,
  unit: number,
  f: (values: readonly Tensor[]) => Promise<number>,
): Promise<void> {
  const rng = new Rng(30)
  const bases = await Promise.all(slopes.map(({ at }) => read(at)))
  const scales = bases.map((base) => Math.max(rms(base), 0.1))
  const directions = slopes.map(({ g }) => Float32Array.from(g, () => rng.normal()))
  const value = (distance: number): Promise<number> =>
    f(
      slopes.map(({ at }, j) => {
        const [scale, direction] = [scales[j] as number, directions[j] as Float32Array]
        const moved = (bases[j] as Float32Array).map((b, i) => b + distance * scale * (direction[i] as number))
        return tensor(moved, at.shape)
      }),
    )
  let [expected, squares] = [0, 0]
  for (const [j, { g }] of slopes.entries()) {
    const [scale, direction] = [scales[j] as number, directions[j] as Float32Array]
    expected += scale * g.reduce((total, gi, i) => total + gi * (direction[i] as number), 0)
    squares += (scale * norm(g)) ** 2
  }
  const allowed = 1e-2 * Math.sqrt(squares)
  for (let h = 0.01; ; h /= 4) {
    const near = (await value(h)) - (await value(-h))
    const far = (await value(2 * h)) - (await value(-2 * h))
    const slope = (8 * near - far) / (12 * h)
    const noise = unit / h
    const gap = Math.abs(slope - expected)
    if (gap < allowed) return
    if (4 * noise < allowed) continue
    expect(gap, `${label}: slope ${slope} at step ${h}, gradient says ${expected}`).toBeLessThan(allowed + noise)
    return
  }
}

const norm = (values: Float32Array): number => Math.sqrt(values.reduce((total, v) => total + v * v, 0))
const rms = (values: Float32Array): number => norm(values) / Math.sqrt(values.length)
