import { useId } from 'preact/hooks'
import { LineChart } from '../../picture/line-chart'
import { type Look, type Source, tokenName } from './source'
import { useAnswer } from './use-answer'

/** How far back outputs look, whatever the mechanism: gradients by the embedded tokens. */
export function InfluencePanel({ look, source }: { readonly look: Look; readonly source: Source }) {
  const title = useId()
  const found = useAnswer(() => {
    const T = look.tokens.length
    const positions = [...new Set([T >> 1, (3 * T) >> 2, T - 1])]
    return source.influence(
      look.tokens.map(({ id }) => id),
      positions,
    )
  }, [look, source])
  return (
    <section aria-labelledby={title}>
      <h3 id={title}>How far outputs look</h3>
      <p class="quiet">
        Length of the gradient of the highest score by each embedded token: the effective receptive field. Where a model
        cuts gradients between segments, what passes a cut is not seen.
      </p>
      {found === null ? (
        <p class="quiet">Measuring.</p>
      ) : 'problem' in found ? (
        <p class="problem">{found.problem}</p>
      ) : found.value === null ? (
        <p class="quiet">Not known for this model, which does not embed its tokens once and one for one.</p>
      ) : (
        <LineChart
          title="Influence on the output"
          series={found.value.map(({ position, lengths }) => ({
            name: `after token ${tokenName(look, position)}`,
            values: lengths,
          }))}
          along="of token"
          nameAt={(t) => tokenName(look, t)}
          unit="gradient"
          low={0}
        />
      )}
    </section>
  )
}
