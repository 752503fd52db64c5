import type { Experiment } from '@mneme/training'
import { ready, setBackend, tidy, zeros } from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import type { Measured } from '../experiment/solve'
import { messageOf } from './backend'
import { resolved, trainedLength } from './setup'

/** Asks for the counts of one experiment's model. */
export interface MeasureRequest {
  readonly id: number
  readonly experiment: Experiment
}

export type MeasureReply = { readonly id: number } & ({ readonly found: Measured } | { readonly refusal: string })

/** Builds the model, counts, and frees it again. */
async function measure(experiment: Experiment): Promise<Measured> {
  await setBackend('cpu')
  await ready()
  const setup = await resolved(experiment)
  const model = setup.paper.build(setup.config)
  try {
    // some settings are refused only by the first token
    tidy(() => void model.forward(zeros([1, 2], 'int32')))
    return { parameters: model.parameterCount(), stateBytes: model.stateBytes(trainedLength(setup)) }
  } finally {
    model.dispose()
  }
}

addEventListener('message', async ({ data: { id, experiment } }: MessageEvent<MeasureRequest>) => {
  let reply: MeasureReply
  try {
    reply = { id, found: await measure(experiment) }
  } catch (error) {
    reply = { id, refusal: messageOf(error) }
  }
  postMessage(reply)
})
