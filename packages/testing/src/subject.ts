import {
  type Mixed,
  type MixerTraits,
  type Module,
  type Pass,
  Rng,
  type SequenceMixer,
  type State,
  stateTensors,
  type TokenModel,
} from '@mneme/core-tensor'
import {
  concat,
  engine,
  getBackend,
  setBackend,
  slice,
  type Tensor,
  type Tensor2D,
  tensor,
  tensor2d,
  tensor3d,
} from '@tensorflow/tfjs-core'

/** A mixer of vectors or a model of tokens: what the laws of sequences are about. */
export interface Sequence extends Module {
  readonly traits: MixerTraits
  /** The state before the first token of `batch` rows. */
  initialState(batch: number): State
  /** Inputs `[B, T, ...]` to outputs `[B, T, ...]`, and the state after the last token. */
  forward(x: Tensor, state?: State, pass?: Pass): Mixed<State>
  /** The same for T = 1, where there is a form of its own. */
  step?(x: Tensor, state: State): Mixed<State>
  /** Bytes of state of one row after `length` tokens. */
  stateBytes(length: number): number
}

/** A sequence under test: how to make it, and how to draw inputs for it. */
export interface Subject {
  readonly name: string
  /** A new one; the same seed gives the same weights. */
  make(seed: number): Sequence
  /** `[B, T, D]` vectors or int32 `[B, T]` tokens. */
  draw(rng: Rng, B: number, T: number): Tensor
  /** An input that must be refused. */
  misshapen(): Tensor
}

/** A mixer as a subject of the laws: its inputs are vectors `dModel` wide. */
export function mixerSubject(name: string, make: (seed: number) => SequenceMixer, dModel: number): Subject {
  const draw = (rng: Rng, B: number, T: number, D: number): Tensor =>
    tensor3d(
      Float32Array.from({ length: B * T * D }, () => rng.normal()),
      [B, T, D],
    )
  return {
    name,
    make: (seed) => make(seed) as unknown as Sequence,
    draw: (rng, B, T) => draw(rng, B, T, dModel),
    misshapen: () => draw(new Rng(0), 2, 3, dModel + 1),
  }
}

/** A model of tokens as a subject of the laws: its inputs are ids. */
export function modelSubject(name: string, make: (seed: number) => TokenModel): Subject {
  const probe = make(0)
  const { vocabulary } = probe
  probe.dispose()
  return {
    name,
    make: (seed) => make(seed) as unknown as Sequence,
    draw: (rng, B, T) =>
      tensor2d(
        Int32Array.from({ length: B * T }, () => rng.int(0, vocabulary)),
        [B, T],
        'int32',
      ),
    misshapen: () => tensor3d([1, 2, 3], [1, 1, 3]),
  }
}

/** Tokens `[begin, begin + size)` of an input. */
export function span(x: Tensor, begin: number, size: number): Tensor {
  return slice(x, [0, begin, ...x.shape.slice(2).map(() => 0)], [x.shape[0] as number, size, ...x.shape.slice(2)])
}

/** Rows `[begin, begin + size)` of an input. */
export function rows(x: Tensor, begin: number, size: number): Tensor {
  return slice(x, [begin, ...x.shape.slice(1).map(() => 0)], [size, ...x.shape.slice(1)])
}

/** Runs a sequence in pieces of the given sizes, the state carried from each to the next. */
export function inPieces(
  subject: Sequence,
  x: Tensor,
  sizes: readonly number[],
  state?: State,
  resets?: Tensor,
): Mixed<State> {
  const outputs: Tensor[] = []
  let current = state ?? subject.initialState(x.shape[0] as number)
  let begin = 0
  for (const size of sizes) {
    const piece = span(x, begin, size)
    const pass = resets && { training: false, resets: span(resets, begin, size) as Tensor2D }
    const step = size === 1 && pass === undefined ? subject.step : undefined
    const mixed = step ? step.call(subject, piece, current) : subject.forward(piece, current, pass)
    outputs.push(mixed.y)
    current = mixed.state
    begin += size
  }
  return { y: outputs.length === 1 ? (outputs[0] as Tensor) : concat(outputs, 1), state: current }
}

/** The values of a tensor, row major. */
export async function read(x: Tensor): Promise<Float32Array> {
  return (await x.data()).slice() as Float32Array
}

/** Values of every tensor of a state, in the order of its paths. */
export async function readState(state: State): Promise<Float32Array[]> {
  return Promise.all(stateTensors(state).map(read))
}

/** Runs `f` on another backend and comes back. */
export async function onBackend<R>(name: string, f: () => Promise<R>): Promise<R> {
  const before = getBackend()
  if (before === name) return f()
  await setBackend(name)
  try {
    return await f()
  } finally {
    await setBackend(before)
  }
}

/** A copy of the values on the backend that is current now. */
export function rebuilt(values: Float32Array, like: Tensor): Tensor {
  return tensor(values, like.shape, like.dtype)
}

/** Runs an asynchronous body and frees every tensor it made, so that one test leaves nothing for the next. */
export async function within(body: () => Promise<void>): Promise<void> {
  engine().startScope('law')
  try {
    await body()
  } finally {
    engine().endScope()
  }
}
