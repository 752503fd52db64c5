import type { AskCommand, AskedReport, Part, Payload, Question, Reply } from './protocol'

export interface AskOptions<K extends Question> {
  /** Tells the worker that nobody waits any more; it decides what it then replies with. */
  readonly signal?: AbortSignal
  /** Hears what the worker sends before its answer is complete. */
  readonly onPart?: (part: Part<K>) => void
}

interface Waiting {
  resolve(reply: unknown): void
  reject(error: Error): void
  onPart?(part: unknown): void
}

/** The page's side of questions to a worker: keeps apart what is asked at the same time. */
export class Questions {
  private readonly waiting = new Map<number, Waiting>()
  private asked = 0

  constructor(private readonly post: (command: Omit<AskCommand, 'run'> | { type: 'cancel'; id: number }) => void) {}

  ask<K extends Question>(question: K, payload: Payload<K>, { signal, onPart }: AskOptions<K>): Promise<Reply<K>> {
    const id = ++this.asked
    const reply = new Promise<Reply<K>>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, ...(onPart && { onPart }) } as Waiting)
    })
    this.post({ type: 'ask', id, question, payload })
    const cancel = (): void => this.post({ type: 'cancel', id })
    if (signal?.aborted) cancel()
    else signal?.addEventListener('abort', cancel, { once: true })
    return reply.finally(() => signal?.removeEventListener('abort', cancel))
  }

  hear(report: AskedReport): void {
    const waiting = this.waiting.get(report.id)
    if (waiting === undefined) return
    if (report.type === 'part') {
      waiting.onPart?.(report.part)
      return
    }
    this.waiting.delete(report.id)
    if (report.type === 'reply') waiting.resolve(report.reply)
    else waiting.reject(new Error(report.message))
  }

  /** Nobody will answer any more. */
  end(): void {
    for (const { reject } of this.waiting.values()) reject(new Error(ended))
    this.waiting.clear()
  }
}

export const ended = 'The run has ended before it could answer. Continue it and ask again.'
