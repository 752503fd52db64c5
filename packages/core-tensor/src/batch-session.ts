import { slice, type Tensor, type Tensor2D, tensor2d } from '@tensorflow/tfjs-core'
import { withDefaults } from './config.js'
import type { TokenModel } from './language-model.js'
import { Rng } from './rng.js'
import { checkSampling, type Sampled } from './sampling.js'
import {
  draw,
  type GenerateOptions,
  generateDefaults,
  knownTokens,
  onlyPast,
  Session,
  type SessionOptions,
  type SessionReport,
  Spent,
} from './session.js'
import { advance, disposeState, type State, stateBytes } from './state.js'
import { breather } from './turn.js'

/** One draw for each prompt, in their order; null for those that have ended. */
export type Draws = readonly (Sampled | null)[]

export interface BatchGenerateCall extends Partial<GenerateOptions> {
  readonly signal?: AbortSignal
}

/**
 * Several prompts continued side by side: shorter ones are padded on the left, one forward serves all of them, and each
 * row draws what a `Session` of its own would draw, seeded with `seed` plus its place.
 *
 * A model that counts every position of a row (`traits.padding` is false) is run row by row where prompts differ in
 * length, since padding would move its segments or windows.
 */
export class BatchSession {
  private readonly rows: Rows
  private readonly spent = new Spent()

  /** @throws RangeError for no prompts, an empty one, an unknown token, or a model that looks both ways */
  constructor(
    private readonly model: TokenModel,
    prompts: readonly ArrayLike<number>[],
    private readonly options: SessionOptions = {},
  ) {
    onlyPast('BatchSession', model)
    const shortest = Math.min(...prompts.map(({ length }) => length))
    if (prompts.length === 0 || shortest === 0) {
      throw new RangeError(
        `BatchSession: expected prompts of one token or more, got ${prompts.length === 0 ? 'none' : 'an empty one'}. Begin it with the model's token for a beginning.`,
      )
    }
    for (const prompt of prompts) knownTokens('BatchSession', model, prompt)
    const apart = !model.traits.padding && prompts.some(({ length }) => length !== shortest)
    const tokens = prompts.reduce((total, { length }) => total + length, 0)
    this.rows = this.spent.reading(tokens, () =>
      apart ? new Apart(model, prompts, options) : new Together(model, prompts, options),
    )
  }

  /** The next token of every row, in place of one that is drawn. @throws RangeError for a token that is not known */
  push(ids: readonly number[]): void {
    const { length } = this.rows.seen
    if (ids.length !== length) {
      throw new RangeError(`BatchSession.push: expected ${length} tokens, one for each row, got ${ids.length}.`)
    }
    knownTokens('BatchSession.push', this.model, ids)
    this.rows.push(ids)
  }

  /** Scores of the next token of each row, `[V]` each, before any sampling setting. */
  nextScores(): Promise<readonly Float32Array[]> {
    return this.rows.nextScores()
  }

  /**
   * Draws a token for every row that has not ended, until all have: at a stop token, which is still given, after
   * `maxNewTokens`, or when the signal aborts.
   */
  async *generate(call: BatchGenerateCall = {}): AsyncGenerator<Draws> {
    const { signal, ...given } = call
    const options = withDefaults('generate', generateDefaults, given)
    checkSampling(options)
    const seed = options.seed ?? this.options.seed ?? 0
    const rngs = this.rows.seen.map((_, row) => new Rng(seed + row))
    const open = rngs.map(() => true)
    const breathe = breather()
    for (let i = 0; i < options.maxNewTokens && open.includes(true) && !signal?.aborted; i++) {
      await breathe()
      const started = performance.now()
      const scores = await this.rows.nextScores()
      const draws = scores.map((of, row) =>
        open[row] ? draw(of, options, this.rows.seen[row] as Set<number>, rngs[row] as Rng) : null,
      )
      if (signal?.aborted) return
      for (const [row, drawn] of draws.entries()) if (drawn && options.stop.includes(drawn.id)) open[row] = false
      // rows that have ended go on with a token that nobody sees
      this.rows.push(draws.map((drawn) => drawn?.id ?? 0))
      this.spent.drew(draws.filter((drawn) => drawn !== null).length, performance.now() - started)
      yield draws
    }
  }

  /** Counts, speeds and bytes of all rows together; padding and rows that have ended are not counted. */
  report(): SessionReport {
    return this.spent.report(this.stateBytes)
  }

  /** Bytes of the state of all rows. */
  get stateBytes(): number {
    return this.rows.stateBytes
  }

  /** Frees the state of every row; the model stays. */
  dispose(): void {
    this.rows.dispose()
  }
}

interface Rows {
  /** Tokens that each row has seen. */
  readonly seen: readonly Set<number>[]
  readonly stateBytes: number
  nextScores(): Promise<readonly Float32Array[]>
  /** The next token of every row. */
  push(ids: readonly number[]): void
  dispose(): void
}

/** All rows in one state. */
class Together implements Rows {
  readonly seen: readonly Set<number>[]
  private state: State
  /** `[B, 1, V]`. */
  private scores: Tensor | null = null

  constructor(
    private readonly model: TokenModel,
    prompts: readonly ArrayLike<number>[],
    { prefillChunk = 256 }: SessionOptions,
  ) {
    this.seen = prompts.map((prompt) => new Set(Array.from(prompt)))
    this.state = advance(null, () => ({ state: model.initialState(prompts.length) })).state
    const longest = Math.max(...prompts.map(({ length }) => length))
    for (let start = 0; start < longest; start += prefillChunk) {
      const places = Array.from({ length: Math.min(prefillChunk, longest - start) }, (_, i) => start + i - longest)
      // counted from the end: what a shorter prompt does not reach is padding
      const cut = (of: (prompt: ArrayLike<number>, place: number) => number): number[][] =>
        prompts.map((prompt) => places.map((place) => of(prompt, prompt.length + place)))
      const ids = cut((prompt, at) => prompt[at] ?? 0)
      const mask = cut((_, at) => (at >= 0 ? 1 : 0))
      this.read(ids, mask)
    }
  }

  get stateBytes(): number {
    return stateBytes(this.state)
  }

  push(ids: readonly number[]): void {
    this.read(ids.map((id) => [id]))
    for (const [row, id] of ids.entries()) this.seen[row]?.add(id)
  }

  private read(rows: readonly number[][], mask?: number[][]): void {
    const length = (rows[0] as number[]).length
    const padded = mask?.flat().includes(0) ? mask : undefined
    const next = advance({ state: this.state, scores: this.scores }, () => {
      const ids = tensor2d(rows as number[][], [rows.length, length], 'int32')
      const pass = padded && { training: false, mask: tensor2d(padded) as Tensor2D }
      const { y, state } =
        length === 1 && !pass && this.model.step
          ? this.model.step(ids, this.state)
          : this.model.forward(ids, this.state, pass)
      return { state, scores: length === 1 ? y : slice(y, [0, length - 1, 0], [rows.length, 1, -1]) }
    })
    this.state = next.state
    this.scores = next.scores
  }

  async nextScores(): Promise<readonly Float32Array[]> {
    const all = (await (this.scores as Tensor).data()) as Float32Array
    const { vocabulary } = this.model
    return this.seen.map((_, row) => all.subarray(row * vocabulary, (row + 1) * vocabulary))
  }

  dispose(): void {
    disposeState({ state: this.state, scores: this.scores })
    this.state = null
    this.scores = null
  }
}

/** A session for every row. */
class Apart implements Rows {
  readonly seen: readonly Set<number>[]
  private readonly sessions: readonly Session[]

  constructor(model: TokenModel, prompts: readonly ArrayLike<number>[], options: SessionOptions) {
    this.seen = prompts.map((prompt) => new Set(Array.from(prompt)))
    this.sessions = prompts.map((prompt) => {
      const session = new Session(model, options)
      session.feed(prompt)
      return session
    })
  }

  get stateBytes(): number {
    return this.sessions.reduce((total, session) => total + session.report().stateBytes, 0)
  }

  nextScores(): Promise<readonly Float32Array[]> {
    return Promise.all(this.sessions.map((session) => session.nextScores()))
  }

  push(ids: readonly number[]): void {
    for (const [row, id] of ids.entries()) {
      this.sessions[row]?.feed([id])
      this.seen[row]?.add(id)
    }
  }

  dispose(): void {
    for (const session of this.sessions) session.dispose()
  }
}
