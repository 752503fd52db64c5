import { Session } from '@mneme/core-tensor'
import { idsOf } from '../checkpoint/ids'
import { opened } from '../checkpoint/opened'

export interface ContinuePayload {
  /** Text, or token ids where there is no tokenizer. */
  readonly prompt: string
  readonly tokens: number
  readonly temperature: number
  readonly seed: number
}

export interface ContinueReply {
  readonly tokens: number
  readonly tokensPerSecond: number
  readonly stateBytes: number
}

/** Writes on from a prompt, piece by piece. */
export async function help(
  { prompt, tokens, temperature, seed }: ContinuePayload,
  tell: (piece: string) => void,
): Promise<ContinueReply> {
  const { model, words } = opened()
  const session = new Session(model, { seed })
  try {
    session.feed(idsOf(words, prompt))
    const stream = words.stream?.() ?? {
      push: (id: number) => words.decode?.([id]) ?? `${id} `,
      flush: () => '',
    }
    for await (const { id } of session.generate({ maxNewTokens: tokens, temperature })) tell(stream.push(id))
    tell(stream.flush())
    const { completionTokens, decodeTokensPerSecond, stateBytes } = session.report()
    return { tokens: completionTokens, tokensPerSecond: decodeTokensPerSecond, stateBytes }
  } finally {
    session.dispose()
  }
}
