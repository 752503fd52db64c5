import { batch, signal } from '@preact/signals'
import type { Drawing } from '../../experiment/options'
import type { Lane } from '../../lane'
import type { DrawnToken, GenerateReply } from '../../worker/answers/generate'

/** One continuation of a prompt, as it is written. */
export class Writing {
  readonly tokens = signal<readonly DrawnToken[]>([])
  readonly reply = signal<GenerateReply | null>(null)
  /** Tokens that it was given by the one it was forked from. */
  readonly shared: number
  private arrived: DrawnToken[] = []
  private frame = 0

  constructor(
    readonly drawing: Drawing,
    given: readonly DrawnToken[] = [],
  ) {
    this.tokens.value = given
    this.shared = given.length
  }

  /** @throws Error in words: the worker refused, or its run has ended */
  async run(lane: Lane, stop: AbortSignal): Promise<void> {
    const given = this.tokens.value.map(({ id }) => id)
    try {
      const onPart = (token: DrawnToken): void => this.take(token)
      const reply = await lane.ask('generate', { ...this.drawing, given }, { signal: stop, onPart })
      batch(() => {
        this.show()
        this.reply.value = reply
      })
    } finally {
      this.show()
    }
  }

  /** Tokens may come faster than frames: what came since the last is shown at once. */
  private take(token: DrawnToken): void {
    this.arrived.push(token)
    if (this.frame === 0) this.frame = requestAnimationFrame(() => this.show())
  }

  private show(): void {
    cancelAnimationFrame(this.frame)
    this.frame = 0
    if (this.arrived.length === 0) return
    this.tokens.value = [...this.tokens.value, ...this.arrived]
    this.arrived = []
  }
}
