import { clone, type DataType, engine, Tensor, type TypedArray, tensor, tidy, util } from '@tensorflow/tfjs-core'
import { joined, pieceOf } from './ops/blocks.js'

/**
 * What a sequence model remembers: plain immutable data, returned and never mutated. Positions and counters are numbers
 * and stay off the device. A state owns nothing by itself; whoever holds it frees it with `disposeState`, or lets
 * `advance` do so.
 */
export type State = Tensor | number | null | readonly State[] | { readonly [name: string]: State }

function isTensor(state: State): state is Tensor {
  return state instanceof Tensor
}

/** Applies `f` to every tensor; numbers, nulls and the structure stay. */
export function mapState<S extends State>(state: S, f: (leaf: Tensor, path: string) => Tensor, path = ''): S {
  if (state === null || typeof state === 'number') return state
  if (isTensor(state)) return f(state, path) as State as S
  return mapItems(state, (item, name) => mapState(item, f, path === '' ? name : `${path}.${name}`))
}

/** A list or record of states with `f` of each. */
function mapItems<S extends State>(state: S, f: (item: State, name: string) => State): S {
  if (Array.isArray(state)) return state.map((item: State, i) => f(item, `${i}`)) as State as S
  return Object.fromEntries(
    Object.entries(state as Record<string, State>).map(([name, item]) => [name, f(item, name)]),
  ) as State as S
}

/** Every leaf with its path, numbers and nulls too: `['blocks.0.h', Tensor]`. */
export function* leaves(state: State, path = ''): Iterable<[path: string, leaf: Tensor | number | null]> {
  if (state === null || typeof state === 'number' || isTensor(state)) {
    yield [path, state]
    return
  }
  for (const [name, item] of Object.entries(state)) yield* leaves(item as State, path === '' ? name : `${path}.${name}`)
}

/** The tensors of a state, each once. */
export function stateTensors(state: State): Tensor[] {
  const found = new Set<Tensor>()
  for (const [, leaf] of leaves(state)) if (leaf instanceof Tensor) found.add(leaf)
  return [...found]
}

/** Bytes held by the tensors of a state. */
export function stateBytes(state: State): number {
  return stateTensors(state).reduce((total, t) => total + t.size * util.bytesPerElement(t.dtype), 0)
}

/**
 * In place of a state of B rows, where these do not stand at the same place of their segments, or have not kept as much: a
 * state of each row, as of a batch of one.
 */
export interface ByRow<S extends State = State> {
  readonly [name: string]: State
  readonly byRow: readonly S[]
}

/** Rows `[begin, begin + size)` of the batch axis, which is the first of every tensor; all rows are the state itself. */
export function sliceBatch<S extends State>(state: S, begin: number, size: number): S {
  if (isTensor(state)) return pieceOf(state, { begin, size }, 0) as State as S
  if (state === null || typeof state === 'number') return state
  const rows = (state as Partial<ByRow>).byRow
  if (rows) return (size === 1 ? rows[begin] : { byRow: rows.slice(begin, begin + size) }) as S
  return mapItems(state, (item) => sliceBatch(item, begin, size))
}

/** Rows of states that differ in nothing but values, one behind the other. */
export function joinBatch<S extends State>(parts: readonly S[]): S {
  const [first] = parts as readonly [S]
  if (isTensor(first)) return joined(parts as readonly State[] as Tensor[], 0) as State as S
  if (first === null || typeof first === 'number') return first
  return mapItems(first, (_, name) => joinBatch(parts.map((part) => (part as Record<string, State>)[name] as State)))
}

/** The same values, cut off from the gradient tape: where back-propagation through time is truncated. */
export function detach<S extends State>(state: S): S {
  return mapState(state, stopGradient)
}

/**
 * A tensor of the same data that gradients do not flow through. No copy is made: the tape knows tensors by id, and this
 * fresh handle was never written to it.
 */
export function stopGradient<T extends Tensor>(x: T): T {
  const { dataId, shape, dtype } = x
  const backend = engine().state.tensorInfo.get(dataId)?.backend
  if (backend === undefined) throw new Error('stopGradient: expected a live tensor, got one that is disposed.')
  backend.incRef(dataId)
  return engine().makeTensorFromTensorInfo({ dataId, shape, dtype }, backend) as T
}

/** A state of the same values with tensors of its own. */
export function copyState<S extends State>(state: S): S {
  return mapState(state, clone)
}

/** Frees every tensor of a state. */
export function disposeState(state: State): void {
  for (const t of stateTensors(state)) t.dispose()
}

/**
 * One step of a long run: `f` is run in a tidy, then the tensors of `previous` that the result no longer holds are
 * freed. The caller owns what comes back.
 */
export function advance<R extends object>(previous: State, f: () => R): R {
  const next = tidy(() => f() as never) as unknown as R
  const held = new Set(tensorsIn(next))
  for (const t of stateTensors(previous)) if (!held.has(t)) t.dispose()
  return next
}

function tensorsIn(value: unknown): Tensor[] {
  if (value instanceof Tensor) return [value]
  if (value === null || typeof value !== 'object') return []
  return Object.values(value).flatMap(tensorsIn)
}

export interface StateDifference {
  readonly path: string
  /** Largest absolute difference; infinity where shapes or kinds differ. */
  readonly maxAbs: number
}

/** Leaf by leaf, how far two states of one structure are apart; the largest first. Reads the tensors back. */
export function diffState(a: State, b: State): StateDifference[] {
  const others = new Map(leaves(b))
  const rows: StateDifference[] = []
  for (const [path, leaf] of leaves(a)) {
    const other = others.get(path)
    others.delete(path)
    rows.push({ path, maxAbs: leafDifference(leaf, other) })
  }
  for (const path of others.keys()) rows.push({ path, maxAbs: Number.POSITIVE_INFINITY })
  return rows.sort((x, y) => y.maxAbs - x.maxAbs)
}

function leafDifference(a: Tensor | number | null, b: Tensor | number | null | undefined): number {
  if (a instanceof Tensor && b instanceof Tensor && util.arraysEqual(a.shape, b.shape)) {
    const [x, y] = [a.dataSync(), b.dataSync()]
    let largest = 0
    for (let i = 0; i < x.length; i++) {
      const distance = Math.abs((x[i] as number) - (y[i] as number))
      if (!(distance <= largest)) largest = Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance
    }
    return largest
  }
  if (typeof a === 'number' && typeof b === 'number') return Math.abs(a - b)
  return a === null && b === null ? 0 : Number.POSITIVE_INFINITY
}

/** A state as plain data: its structure with numbers in place, and its tensors by path. The copy owns its values. */
export interface SavedState {
  readonly structure: unknown
  readonly tensors: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly dtype: DataType; readonly values: TypedArray }>
  >
}

/** Reads a state back to plain data; `loadState` makes it live again, in this process or another. */
export async function saveState(state: State): Promise<SavedState> {
  const entries = [...leaves(state)].map(async ([path, leaf]): Promise<[string, SavedState['tensors'][string]][]> => {
    if (!(leaf instanceof Tensor)) return []
    const { shape, dtype } = leaf
    return [[path, { shape, dtype, values: (await leaf.data()).slice() as TypedArray }]]
  })
  const tensors = Object.fromEntries((await Promise.all(entries)).flat())
  return { structure: outline(state, ''), tensors }
}

function outline(state: State, path: string): unknown {
  if (state === null || typeof state === 'number') return state
  if (isTensor(state)) return { $tensor: path }
  const below = (key: string | number): string => (path === '' ? `${key}` : `${path}.${key}`)
  if (Array.isArray(state)) return state.map((item, i) => outline(item as State, below(i)))
  return Object.fromEntries(
    Object.entries(state as Record<string, State>).map(([name, item]) => [name, outline(item, below(name))]),
  )
}

/** @throws Error if the structure names a tensor that is not there */
export function loadState(saved: SavedState): State {
  const restore = (node: unknown): State => {
    if (node === null || typeof node === 'number') return node
    if (Array.isArray(node)) return node.map(restore)
    const path = (node as { $tensor?: string }).$tensor
    if (path === undefined) {
      return Object.fromEntries(Object.entries(node as object).map(([name, item]) => [name, restore(item)]))
    }
    const entry = saved.tensors[path]
    if (entry === undefined) throw new Error(`loadState: tensor '${path}' is missing. Save the state again.`)
    return tensor(entry.values, [...entry.shape], entry.dtype)
  }
  return restore(saved.structure)
}
