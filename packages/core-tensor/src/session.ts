import { clone, slice, type Tensor, tensor2d } from '@tensorflow/tfjs-core'
import { withDefaults } from './config.js'
import type { TokenModel } from './language-model.js'
import { Rng, type RngState } from './rng.js'
import { checkSampling, likeliest, type Sampled, type SamplingOptions, sample, samplingDefaults } from './sampling.js'
import {
  advance,
  copyState,
  disposeState,
  loadState,
  type SavedState,
  type State,
  saveState,
  stateBytes,
} from './state.js'
import { breather } from './turn.js'

export interface GenerateOptions extends SamplingOptions {
  readonly maxNewTokens: number
  /** Generation ends after any of these; the stopping token is still yielded. */
  readonly stop: readonly number[]
  /** Restarts the session's generator from this seed. */
  readonly seed: number | null
  /** So many of the likeliest tokens are told with each that is drawn. */
  readonly likeliest: number
}

export interface GenerateCall extends Partial<GenerateOptions> {
  readonly signal?: AbortSignal
  /** Called with each token as it is drawn; the async iterator gives the same. */
  readonly onToken?: (token: Sampled) => void
}

export const generateDefaults: GenerateOptions = {
  ...samplingDefaults,
  maxNewTokens: 256,
  stop: [],
  seed: null,
  likeliest: 0,
}

export interface SessionOptions {
  /** Seeds the draws; 0 where absent. */
  readonly seed?: number
  /** Tokens of a prompt that are read at a time; 256 where absent. */
  readonly prefillChunk?: number
}

/** Counts and speeds since the session was made. */
export interface SessionReport {
  readonly promptTokens: number
  readonly completionTokens: number
  readonly prefillTokensPerSecond: number
  readonly decodeTokensPerSecond: number
  readonly stateBytes: number
}

/** Tokens read and drawn, and the time that each took. */
export class Spent {
  private readonly read = { tokens: 0, ms: 0 }
  private readonly drawn = { tokens: 0, ms: 0 }

  /** Times `f`, which reads so many tokens of prompts. */
  reading<R>(tokens: number, f: () => R): R {
    const started = performance.now()
    const result = f()
    this.read.ms += performance.now() - started
    this.read.tokens += tokens
    return result
  }

  /** Adds tokens that were drawn, with the time they took. */
  drew(tokens: number, ms: number): void {
    this.drawn.tokens += tokens
    this.drawn.ms += ms
  }

  /** All so far, with what the state takes now. */
  report(stateBytes: number): SessionReport {
    const rate = ({ tokens, ms }: { tokens: number; ms: number }): number => (ms > 0 ? (1000 * tokens) / ms : 0)
    return {
      promptTokens: this.read.tokens,
      completionTokens: this.drawn.tokens,
      prefillTokensPerSecond: rate(this.read),
      decodeTokensPerSecond: rate(this.drawn),
      stateBytes,
    }
  }
}

export interface SavedSession {
  readonly state: SavedState
  readonly rng: RngState
  readonly seen: readonly number[]
  readonly position: number
}

/**
 * A conversation with a language model: owns the state that the tokens so far have left, and the scores of the next.
 * Cost per token does not depend on how many went before, for every model whose state is constant.
 */
export class Session {
  private state: State
  /** Scores of the next token, `[1, 1, V]`; null before the first. */
  private scores: Tensor | null = null
  private rng: Rng
  private readonly seen = new Set<number>()
  private position = 0
  private disposed = false
  private readonly spent = new Spent()

  /** @throws RangeError for a model that looks both ways, which no token can be added to */
  constructor(
    private readonly model: TokenModel,
    private readonly options: SessionOptions = {},
  ) {
    onlyPast('Session', model)
    this.rng = new Rng(options.seed ?? 0)
    // in a tidy, since an initial state may be computed from parameters
    this.state = advance(null, () => ({ state: model.initialState(1) })).state
  }

  /** Tokens fed and generated so far. */
  get length(): number {
    return this.position
  }

  /** Reads a prompt, in pieces. @throws RangeError for a token that is not in the vocabulary */
  feed(ids: ArrayLike<number>): void {
    this.alive('feed')
    const chunk = this.options.prefillChunk ?? 256
    knownTokens('Session.feed', this.model, ids)
    this.spent.reading(ids.length, () => {
      for (let start = 0; start < ids.length; start += chunk) {
        this.push(Int32Array.from({ length: Math.min(chunk, ids.length - start) }, (_, i) => ids[start + i] as number))
      }
    })
  }

  private push(ids: Int32Array): void {
    const before: State = { state: this.state, scores: this.scores }
    const { state, scores } = advance(before, () => {
      const input = tensor2d(ids, [1, ids.length], 'int32')
      const { y, state: after } =
        ids.length === 1 && this.model.step ? this.model.step(input, this.state) : this.model.forward(input, this.state)
      return { state: after, scores: ids.length === 1 ? y : slice(y, [0, ids.length - 1, 0], [1, 1, -1]) }
    })
    this.state = state
    this.scores = scores
    for (const id of ids) this.seen.add(id)
    this.position += ids.length
  }

  /** Scores of the next token, `[V]`, before any sampling setting. */
  async nextScores(): Promise<Float32Array> {
    this.alive('nextScores')
    if (this.scores === null)
      throw new RangeError('Session: expected a prompt first, got none. Call feed with at least one token.')
    return (await this.scores.data()) as Float32Array
  }

  /**
   * Draws tokens one by one; each becomes part of the context before the next is drawn. Stops at `maxNewTokens`, at a
   * stop token, or when the signal aborts (which ends the iteration without an error).
   */
  async *generate(call: GenerateCall = {}): AsyncGenerator<Sampled> {
    this.alive('generate')
    const { signal, onToken, ...given } = call
    const options = withDefaults('generate', generateDefaults, given)
    checkSampling(options)
    if (options.seed !== null) this.rng = new Rng(options.seed)
    const breathe = breather()
    for (let i = 0; i < options.maxNewTokens && !signal?.aborted; i++) {
      await breathe()
      const started = performance.now()
      const scores = await this.nextScores()
      const token = draw(scores, options, this.seen, this.rng)
      if (signal?.aborted) return
      this.push(Int32Array.of(token.id))
      this.spent.drew(1, performance.now() - started)
      onToken?.(token)
      yield token
      if (options.stop.includes(token.id)) return
    }
  }

  /** An independent session that continues from the same point. */
  fork(): Session {
    this.alive('fork')
    const twin = new Session(this.model, this.options)
    disposeState(twin.state)
    twin.state = copyState(this.state)
    twin.scores = this.scores && clone(this.scores)
    twin.rng = Rng.restore(this.rng.save())
    for (const id of this.seen) twin.seen.add(id)
    twin.position = this.position
    return twin
  }

  /** The whole session as plain data, to be continued in another process or tab. */
  async save(): Promise<SavedSession> {
    this.alive('save')
    const state = await saveState({ state: this.state, scores: this.scores })
    return { state, rng: this.rng.save(), seen: [...this.seen], position: this.position }
  }

  /** A session that goes on where one was saved, in this process or another. */
  static restore(model: TokenModel, saved: SavedSession): Session {
    const session = new Session(model)
    disposeState(session.state)
    const restored = loadState(saved.state) as { readonly state: State; readonly scores: Tensor | null }
    session.state = restored.state
    session.scores = restored.scores
    session.rng = Rng.restore(saved.rng)
    for (const id of saved.seen) session.seen.add(id)
    session.position = saved.position
    return session
  }

  /** Counts, speeds, and bytes of the state as it is now. */
  report(): SessionReport {
    return this.spent.report(stateBytes(this.state))
  }

  /** Frees the state; the model stays. Calling it again does nothing. */
  dispose(): void {
    if (this.disposed) return
    this.disposed = true
    disposeState({ state: this.state, scores: this.scores })
  }

  private alive(method: string): void {
    if (this.disposed)
      throw new Error(`Session.${method}: this session is disposed. Create a new one, or fork() before disposing.`)
  }
}

/** One token, with the likeliest in its place where they are asked for. */
export function draw(scores: Float32Array, options: GenerateOptions, seen: ReadonlySet<number>, rng: Rng): Sampled {
  const drawn = sample(scores, options, seen, rng)
  return options.likeliest > 0 ? { ...drawn, likeliest: likeliest(scores, options.likeliest) } : drawn
}

/** @throws RangeError for a model that looks both ways */
export function onlyPast(where: string, { traits }: TokenModel): void {
  if (traits.causal) return
  throw new RangeError(
    `${where}: expected a model that sees the past alone, got one that looks both ways. Call its forward on whole sequences.`,
  )
}

/** @throws RangeError for an id that is not in the model's vocabulary */
export function knownTokens(where: string, { vocabulary }: TokenModel, ids: ArrayLike<number>): void {
  const unknown = Array.from(ids).find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabulary))
  if (unknown === undefined) return
  throw new RangeError(
    `${where}: expected token ids in [0, ${vocabulary}), got ${unknown}. Was the text encoded with this model's tokenizer?`,
  )
}
