import { Session } from '@mneme/core-tensor'
import type { TextSample } from '../../protocol'
import type { Answer } from './answer'

const mostTokens = 400
/** A slow model writes less rather than holding up its training. */
const mostMs = 1200

/** Text that the model writes after a prompt. */
export const answer: Answer<{ readonly prompt: string; readonly temperature: number }, TextSample> = async (
  { run, vocabulary },
  { prompt, temperature },
  { signal },
) => {
  const ids = vocabulary.encode?.(prompt) ?? []
  if (ids.length === 0) throw new RangeError('prompt: expected some text, got none. Type a few words.')
  const session = new Session(run.model, { seed: run.setup.experiment.seed + run.step })
  const written: number[] = []
  try {
    session.feed(ids)
    const started = performance.now()
    for await (const { id } of session.generate({ maxNewTokens: mostTokens, temperature, signal })) {
      written.push(id)
      if (performance.now() - started > mostMs) break
    }
  } finally {
    session.dispose()
  }
  const text = vocabulary.decode?.(written) ?? written.join(' ')
  return { form: 'text', step: run.step, prompt, text }
}
