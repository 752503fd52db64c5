import type { helpers } from './worker/helper/table'

export type HelpQuestion = keyof typeof helpers
type Help<K extends HelpQuestion> = Awaited<ReturnType<(typeof helpers)[K]>>['help']
export type HelpPayload<K extends HelpQuestion> = Parameters<Help<K>>[0]
export type HelpReply<K extends HelpQuestion> = Awaited<ReturnType<Help<K>>>
export type HelpPart<K extends HelpQuestion> = Parameters<Help<K>>[1] extends (part: infer P) => void ? P : never

export interface Asked {
  readonly id: number
  readonly question: HelpQuestion
  readonly payload: unknown
}

export type Told =
  | { readonly id: number; readonly part: unknown }
  | { readonly id: number; readonly reply: unknown }
  | { readonly id: number; readonly message: string }

interface Waiting {
  onPart?(part: never): void
  resolve(reply: never): void
  reject(error: Error): void
}

/** The page's side of a worker that holds no run and is asked for one thing or another: `worker/helper` has what. */
export class Station {
  private readonly worker: Worker
  private readonly waiting = new Map<number, Waiting>()
  private asked = 0

  constructor() {
    this.worker = new Worker(new URL('./worker/helper.ts', import.meta.url), { type: 'module', name: 'helper' })
    this.worker.addEventListener('message', ({ data }: MessageEvent<Told>) => this.hear(data))
    this.worker.addEventListener('error', ({ message }) => this.end(message || 'its code could not be loaded'))
  }

  /** @throws Error with the worker's words */
  ask<K extends HelpQuestion>(
    question: K,
    payload: HelpPayload<K>,
    onPart?: (part: HelpPart<K>) => void,
  ): Promise<HelpReply<K>> {
    const id = ++this.asked
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, ...(onPart && { onPart }) } as Waiting)
      this.worker.postMessage({ id, question, payload } satisfies Asked)
    })
  }

  private hear(told: Told): void {
    const waiting = this.waiting.get(told.id)
    if (waiting === undefined) return
    if ('part' in told) {
      waiting.onPart?.(told.part as never)
      return
    }
    this.waiting.delete(told.id)
    if ('reply' in told) waiting.resolve(told.reply as never)
    else waiting.reject(new Error(told.message))
  }

  private end(message: string): void {
    for (const { reject } of this.waiting.values()) reject(new Error(`The worker ended: ${message}.`))
    this.waiting.clear()
  }

  close(): void {
    this.worker.terminate()
    this.waiting.clear()
  }
}
