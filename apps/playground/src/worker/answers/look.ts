import { type Look, look, mostTokens } from '../inspect/look'
import { taskOf } from '../setup'
import type { Answer, Live } from './answer'

export interface LookPayload {
  /** Text to be read, or null for a row of the validation split. */
  readonly text: string | null
  /** Which row. */
  readonly row: number
}

export interface LookReply extends Look {
  readonly step: number
}

/** One sequence read by the model as it stands now, and all that can be seen of that. */
export const answer: Answer<LookPayload, LookReply> = async (live, { text, row }) => {
  const { inputs, due } = text === null ? await rowOf(live, row) : { inputs: encoded(live, text), due: undefined }
  return { step: live.run.step, ...(await look({ model: live.run.model, vocabulary: live.vocabulary }, inputs, due)) }
}

function encoded({ vocabulary }: Live, text: string): Int32Array {
  const ids = vocabulary.encode?.(text) ?? new Int32Array()
  if (ids.length === 0) throw new RangeError('text: expected some text, got none. Type a few words.')
  return ids.slice(0, mostTokens)
}

async function rowOf({ run: { setup } }: Live, row: number): Promise<{ inputs: Int32Array; due: Int32Array }> {
  const { experiment, taskConfig, train } = setup
  const task = taskOf(setup)
  const length = task.kind === 'language' ? Math.min(48, train.length || 48) : train.length || undefined
  const stream = await task.open(taskConfig, 'validation', experiment.seed, 1, length)
  for (let i = 0; i < row; i++) stream.next()
  const { inputs, targets, mask } = stream.next()
  const due = Int32Array.from(targets, (target, t) => (mask[t] === 1 ? target : -1))
  return { inputs: Int32Array.from(inputs).slice(0, mostTokens), due: due.slice(0, mostTokens) }
}
