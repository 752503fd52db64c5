import type { AskCommand, Report } from '../protocol'
import type { Answer, Live } from './answers/answer'
import { answers } from './answers/table'
import { messageOf } from './backend'

/** The questions that a run has still to answer. */
export class Asked {
  private readonly open = new Map<number, AbortController>()

  constructor(
    private readonly live: Live,
    private readonly send: (report: Report) => void,
  ) {}

  /** Hears a question; call the result when there is time for the answer. It never throws. */
  hear({ id, question, payload }: AskCommand): () => Promise<void> {
    const controller = new AbortController()
    this.open.set(id, controller)
    return async () => {
      try {
        const { answer } = await answers[question]()
        const tell = (part: unknown): void => this.send({ type: 'part', id, part })
        // payload and answer belong together by the types of `Lane.ask`, which a message cannot carry
        const reply = await (answer as Answer<unknown, unknown, unknown>)(this.live, payload, {
          signal: controller.signal,
          tell,
        })
        this.send({ type: 'reply', id, reply })
      } catch (error) {
        this.send({ type: 'refusal', id, message: messageOf(error) })
      } finally {
        this.open.delete(id)
      }
    }
  }

  cancel(id: number): void {
    this.open.get(id)?.abort()
  }
}
