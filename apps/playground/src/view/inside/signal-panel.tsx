import { useId } from 'preact/hooks'
import { options, setOptionsOf } from '../../page'
import { HeatMap } from '../../picture/heat-map'
import { Histogram } from '../../picture/histogram'
import { LineChart } from '../../picture/line-chart'
import { scaleOf } from '../../picture/scale'
import { ChoiceAt } from '../choice'
import { type Signal, signalsOf } from './signals'
import { type Look, tokenName } from './source'

/** Up to so many channels are drawn as lines, more as a map. */
const mostLines = 4

/** Gates, decays, surprise: what mixers say of themselves at every token. */
export function SignalPanel({ look, token }: { readonly look: Look; readonly token: number }) {
  const signals = signalsOf(look)
  const title = useId()
  const chosen = options.value.look.signal - 1
  const at = signals[chosen] === undefined ? 0 : chosen
  const signal = signals[at]
  return (
    <section aria-labelledby={title}>
      <h3 id={title}>Gates, decay, surprise, and what is read</h3>
      {signal === undefined ? (
        <p class="quiet">The mixers of this model record nothing token by token.</p>
      ) : (
        <>
          <ChoiceAt
            label="Signal"
            names={signals.map(({ where, name }) => `${where}, ${name}`)}
            at={at}
            onChange={(next) => setOptionsOf('look', { signal: next + 1 })}
          />
          <p class="quiet">{signal.explained}</p>
          <OverTime look={look} signal={signal} token={token} />
          <h4>How often each value occurs</h4>
          <Histogram title={`${signal.name}: how often each value occurs`} values={signal.values} />
        </>
      )}
    </section>
  )
}

interface OverTimeProps {
  readonly look: Look
  readonly signal: Signal
  readonly token: number
}

function OverTime({ look, signal: { name, width, values }, token }: OverTimeProps) {
  const T = look.tokens.length
  const channel = (c: number): Float32Array =>
    Float32Array.from({ length: T }, (_, t) => values[t * width + c] as number)
  const channels = Array.from({ length: width }, (_, c) => c)
  if (width <= mostLines) {
    return (
      <LineChart
        title={`${name} over time`}
        series={channels.map((c) => ({ name: width === 1 ? name : `head ${c + 1}`, values: channel(c) }))}
        along="token"
        nameAt={(t) => tokenName(look, t)}
        unit={name}
        marked={token}
        low={scaleOf(values).low}
      />
    )
  }
  return (
    <HeatMap
      title={`${name} over time`}
      matrix={{
        rows: width,
        columns: T,
        values: Float32Array.from(
          { length: width * T },
          (_, i) => values[(i % T) * width + Math.floor(i / T)] as number,
        ),
        rowName: (c) => String(c + 1),
        columnName: (t) => tokenName(look, t),
      }}
      axes={{ rows: 'channel', columns: 'token' }}
    />
  )
}
