import type { TextSample } from '../../protocol'
import { written } from '../written'
import type { Answer } from './answer'

/** Text that the model writes after a prompt. */
export const answer: Answer<{ readonly prompt: string; readonly temperature: number }, TextSample> = async (
  { run, vocabulary },
  { prompt, temperature },
  { signal },
) => {
  const ids = vocabulary.encode?.(prompt) ?? []
  if (ids.length === 0) throw new RangeError('prompt: expected some text, got none. Type a few words.')
  const seed = run.setup.experiment.seed + run.step
  const found = await written(run.model, ids, { seed, temperature, signal })
  return { form: 'text', step: run.step, prompt, text: vocabulary.decode?.(found) ?? found.join(' ') }
}
