import type { Run } from '@mneme/training'
import type { RunFacts } from '../protocol'
import { taskOf, trainedLength } from './setup'

/** What the page is told of a run when it begins. */
export function factsOf({ model, setup }: Run, takesPrompt: boolean): RunFacts {
  const { kind, metric } = taskOf(setup)
  const { train } = setup
  const stateTokens = trainedLength(setup)
  return {
    parameters: model.parameterCount(),
    stateBytes: model.stateBytes(stateTokens),
    stateTokens,
    constantState: model.traits.constantState,
    steps: train.steps,
    tokensPerStep: stateTokens * train.batch * train.accumulate,
    kind,
    metric,
    takesPrompt: takesPrompt && kind === 'language',
  }
}
