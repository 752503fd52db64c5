import { useEffect, useId, useState } from 'preact/hooks'
import { LineChart } from '../../picture/line-chart'
import { type Influence, type Look, type Source, tokenName } from './source'

type Found = { readonly fields: readonly Influence[] | null } | { readonly problem: string } | null

/** How far back outputs look, whatever the mechanism: gradients by the embedded tokens. */
export function InfluencePanel({ look, source }: { readonly look: Look; readonly source: Source }) {
  const [found, setFound] = useState<Found>(null)
  const title = useId()
  useEffect(() => {
    let wanted = true
    setFound(null)
    const T = look.tokens.length
    const positions = [...new Set([T >> 1, (3 * T) >> 2, T - 1])]
    source
      .influence(
        look.tokens.map(({ id }) => id),
        positions,
      )
      .then(
        (fields) => wanted && setFound({ fields }),
        (error: Error) => wanted && setFound({ problem: error.message }),
      )
    return () => {
      wanted = false
    }
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
      ) : found.fields === null ? (
        <p class="quiet">Not known for this model, which does not embed its tokens once and one for one.</p>
      ) : (
        <LineChart
          title="Influence on the output"
          series={found.fields.map(({ position, lengths }) => ({
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
