import type { ComponentChildren } from 'preact'
import type { Lane } from '../lane'
import { stepOf } from './controls'
import { formatBytes, formatCount, formatDuration, formatLoss, formatShare, orUnknown } from './format'

/** The figures of a run, each with its unit. */
export function Figures({ lane }: { readonly lane: Lane }) {
  // the recent loss is read from the history, which is no signal
  lane.version.value
  const { latest, evaluation, facts, charactersPerToken, elapsedMs } = lane
  const score = evaluation.value
  const perToken = charactersPerToken.value
  const fact = facts.value
  const bits = score === null || perToken === null ? null : score.lossNats / perToken / Math.LN2
  return (
    <dl class="figures">
      <Figure name="Training loss" unit="nats">
        {orUnknown(lane.history.recentLoss(), formatLoss)}
      </Figure>
      <Figure name="Validation loss" unit="nats">
        {orUnknown(score?.lossNats, formatLoss)}
      </Figure>
      {fact?.kind === 'synthetic' ? (
        <Figure name="Rows all right" unit="validation">
          {orUnknown(score?.seqAcc, formatShare)}
        </Figure>
      ) : (
        <Figure name="Bits per character" unit="validation">
          {orUnknown(bits, formatLoss)}
        </Figure>
      )}
      <Figure name="Accuracy" unit="validation">
        {orUnknown(score?.tokenAcc, formatShare)}
      </Figure>
      <Figure name="Step" unit={`of ${orUnknown(fact?.steps, formatCount)}`}>
        {formatCount(stepOf(lane))}
      </Figure>
      <Figure name="Training time" unit="min:s">
        {formatDuration(elapsedMs.value)}
      </Figure>
      <Figure name="Speed" unit="tokens/s">
        {orUnknown(lane.speed.value, (rate) => formatCount(Number(rate.toPrecision(3))))}
      </Figure>
      <Figure name="Parameters" unit="float32">
        {orUnknown(fact?.parameters, formatCount)}
      </Figure>
      <Figure name="State" unit={stateUnit(lane)}>
        {orUnknown(fact?.stateBytes, formatBytes)}
      </Figure>
      <Figure name="Memory" unit={`${orUnknown(latest.value?.tensors, formatCount)} live tensors`}>
        {orUnknown(latest.value?.bytes, formatBytes)}
      </Figure>
    </dl>
  )
}

function stateUnit({ facts }: Lane): string {
  const fact = facts.value
  if (fact === null) return 'a row'
  return fact.constantState ? 'at any length' : `at ${formatCount(fact.stateTokens)} tokens`
}

interface FigureProps {
  readonly name: string
  readonly unit: string
  readonly children: ComponentChildren
}

function Figure({ name, unit, children }: FigureProps) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <span class="value">{children}</span> <span class="unit">{unit}</span>
      </dd>
    </div>
  )
}
