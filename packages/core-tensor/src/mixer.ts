import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import type { Module } from './module.js'
import type { State } from './state.js'

/** What a mixer gives back: the mixed sequence, and the state after its last token. */
export interface Mixed<S> {
  readonly y: Tensor
  readonly state: S
}

/**
 * Takes pictures of what happens inside a forward. Names say what is recorded: `weights` `[B, H, T, S]` of attention that
 * no op computes; `queries` and `keys`; `beta`, `decay`, `logDecay`, `gate` and other gates by the paper's name, `[B, T,
 * ...]`; `surprise` of a memory that learns as it reads; `state` and `memory` after the call. Ops that sum values over
 * tokens need not be recorded: `watch` sees them.
 */
export interface Recorder {
  /** Takes a picture under a name; the tensor stays with the caller. */
  record(name: string, value: Tensor): void
  /** The same recorder with a path in front of every name. */
  at(path: string): Recorder
}

/** Tensors under names; a `Map` is one. */
export interface Shared {
  /** What was left under a name; undefined for nothing. */
  get(name: string): Tensor | undefined
  /** Leaves a tensor under a name. */
  set(name: string, value: Tensor): unknown
}

/** What holds for one forward pass, whatever the model. */
export interface Pass {
  readonly training: boolean
  /** Padding, `[B, T]`: 1 for a token, 0 for padding, anywhere in the row. Padding moves no state and no other output. */
  readonly mask?: Tensor2D
  /** Packed documents, `[B, T]`: 1 where a token starts anew, as if from the initial state. */
  readonly resets?: Tensor2D
  /** What kind each token is of, int32 `[B, T]`, for models that tell kinds apart; all are of kind 0 where absent. */
  readonly tokenTypes?: Tensor2D
  /** Seeds dropout and other noise of this pass. */
  readonly seed?: number
  readonly record?: Recorder
  /** What an earlier layer leaves for later ones, in this pass only: values of the first layer, shared positions. */
  readonly shared?: Shared
}

/** Which parts of a `Pass` a mixer honours exactly; the laws hold it to what it declares, both ways. */
export interface MixerTraits {
  /** Output t depends on inputs up to t only. */
  readonly causal: boolean
  /** `mask` and `resets` are honoured. Where false, giving them throws. */
  readonly padding: boolean
  /** The state does not grow with the length: it is bounded, and where segments are open, periodic. */
  readonly constantState: boolean
  /** Gradients stop at every so many tokens, as the paper has it; absent where they flow back all the way. */
  readonly backprop?: number
  /** The first call decides how a sequence is laid out, so that it should hold all there is; absent where any may. */
  readonly whole?: boolean
}

/**
 * Anything that mixes a sequence along time: attention, a recurrent cell, a memory, a whole stack of them. Unfinished
 * chunks and segments live in the state, so any T >= 1 is taken, and a sequence may be split anywhere.
 */
export interface SequenceMixer<S extends State = State> extends Module {
  readonly traits: MixerTraits
  /** Differentiable: may read parameters. */
  initialState(batch: number): S
  /** `[B, T, D]` to `[B, T, D]`. Without a state, from the initial one. */
  forward(x: Tensor, state?: S, pass?: Pass): Mixed<S>
  /** Optional faster form for T = 1; must equal `forward`. */
  step?(x: Tensor, state: S): Mixed<S>
  /** Bytes of state of one row after `length` tokens. */
  stateBytes(length: number): number
  /** Absent where nothing is kept from one segment to the next. */
  readonly acrossSegments?: AcrossSegments<S> | undefined
}

/** How a mixer ends a segment that remembers something of it; all others start every segment from a new state. */
export interface AcrossSegments<S extends State = State> {
  /** Takes the tokens behind the segment, `[B, P, D]`; returns their outputs, and what the next segment starts from. */
  end(after: Tensor, state: S, pass?: Pass): Mixed<S>
  /** Bytes of what is kept of one row. */
  bytes(): number
}

/** What a memory stores at a time; each kind of memory says what that is. */
export type Entry = { readonly [name: string]: Tensor }

/** A store that is read and written explicitly. Reading may move the addressing, so the state comes back. */
export interface Memory<S extends State = State, E extends Entry = Entry> extends Module {
  /** The memory before anything is written, for `batch` rows. Differentiable: may read parameters. */
  initialState(batch: number): S
  /** What the memory has for queries `[B, T, K]`, and the memory after it was asked. */
  read(state: S, query: Tensor): Mixed<S>
  /** The memory after one entry more. */
  write(state: S, entry: E): S
}

/**
 * Refuses what a mixer does not honour, rather than giving quietly wrong numbers.
 *
 * @throws RangeError naming the mixer and the remedy
 */
export function refusePadding(where: string, pass: Pass | undefined): void {
  if (pass?.mask === undefined && pass?.resets === undefined) return
  const given = pass?.mask === undefined ? 'resets' : 'a padding mask'
  throw new RangeError(`${where}: expected no ${given}. Run rows of unequal length apart.`)
}
