import { type ScoredToken, Session } from '@mneme/core-tensor'
import type { Vocabulary } from '@mneme/tasks'
import type { Drawing } from '../../experiment/options'
import type { Answer } from './answer'

export interface GenerateAsk extends Drawing {
  /** Tokens after the prompt that are given, and not drawn: where a fork begins. */
  readonly given: readonly number[]
}

/** A token with its probability under the model, before temperature and cuts. */
export interface ShownToken {
  readonly id: number
  readonly text: string
  readonly probability: number
}

export interface DrawnToken extends ShownToken {
  readonly likeliest: readonly ShownToken[]
}

export interface GenerateReply {
  readonly promptTokens: number
  readonly prefillTokensPerSecond: number
  readonly decodeTokensPerSecond: number
  readonly stateBytes: number
  /** Step of the run whose parameters wrote it. */
  readonly step: number
}

const shownBeside = 5

/** Text that the model writes after a prompt, token by token, until it has enough or the page says stop. */
export const answer: Answer<GenerateAsk, GenerateReply, DrawnToken> = async (
  { run, vocabulary },
  { prompt, given, tokens, ...sampling },
  { signal, tell },
) => {
  const read = vocabulary.encode?.(prompt)
  if (read === undefined) throw new RangeError('This task has no text that a prompt could be written in.')
  if (read.length + given.length === 0) throw new RangeError('prompt: expected some text, got none. Type a few words.')
  const session = new Session(run.model)
  const text = vocabulary.stream?.()
  try {
    session.feed([...read, ...given])
    for (const id of given) text?.push(id)
    const call = { ...sampling, maxNewTokens: Math.max(0, tokens - given.length), likeliest: shownBeside, signal }
    for await (const { likeliest = [], ...drawn } of session.generate(call)) {
      tell({
        ...shown(vocabulary, drawn),
        text: text?.push(drawn.id) ?? nameOf(vocabulary, drawn.id),
        likeliest: likeliest.map((token) => shown(vocabulary, token)),
      })
    }
    return { ...session.report(), step: run.step }
  } finally {
    session.dispose()
  }
}

function shown(vocabulary: Vocabulary, { id, logProbability }: ScoredToken): ShownToken {
  return { id, text: nameOf(vocabulary, id), probability: Math.exp(logProbability) }
}

function nameOf(vocabulary: Vocabulary, id: number): string {
  return vocabulary.decode?.([id]) ?? String(id)
}
