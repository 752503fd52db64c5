import { useEffect, useId, useState } from 'preact/hooks'
import { HeatMap } from '../../picture/heat-map'
import { LineChart } from '../../picture/line-chart'
import { Choice } from '../choice'
import { type LeafHistory, type Look, type Source, tokenName } from './source'
import { type Leaf, leafName, leafOf } from './state-leaf'

interface Props {
  readonly look: Look
  readonly source: Source
  readonly token: number
  readonly onChoose: (token: number) => void
}

type Found = { readonly leaves: readonly LeafHistory[] } | { readonly problem: string } | null

/** What is remembered, token by token: the whole state over time, and what each token wrote. */
export function StatePanel({ look, source, token, onChoose }: Props) {
  const [found, setFound] = useState<Found>(null)
  const title = useId()
  useEffect(() => {
    let wanted = true
    setFound(null)
    if (look.causal) {
      source.states(look.tokens.map(({ id }) => id)).then(
        (leaves) => wanted && setFound({ leaves }),
        (error: Error) => wanted && setFound({ problem: error.message }),
      )
    }
    return () => {
      wanted = false
    }
  }, [look, source])
  return (
    <section aria-labelledby={title}>
      <h3 id={title}>What is remembered</h3>
      {!look.causal ? (
        <p class="quiet">This model looks both ways: it reads a sequence whole, and keeps no state between tokens.</p>
      ) : found === null ? (
        <p class="quiet">Reading the sequence token by token.</p>
      ) : 'problem' in found ? (
        <p class="problem">{found.problem}</p>
      ) : found.leaves.length === 0 ? (
        <p class="quiet">This model keeps nothing from one token to the next.</p>
      ) : (
        <Leaves look={look} leaves={found.leaves} token={token} onChoose={onChoose} />
      )}
    </section>
  )
}

interface LeavesProps extends Omit<Props, 'source'> {
  readonly leaves: readonly LeafHistory[]
}

function Leaves({ look, leaves, token, onChoose }: LeavesProps) {
  const first = leaves.findIndex(({ path }) => /memory|\.h$|weights|keys|state/.test(path))
  const [at, setAt] = useState(Math.max(0, first))
  const history = leaves[at] ?? leaves[0]
  if (history === undefined) return null
  const leaf = leafOf(history, look)
  const name = (t: number): string => tokenName(look, t)
  return (
    <>
      <Choice
        narrow
        label="Part of the state"
        value={String(at)}
        options={leaves.map((one, i) => ({ key: String(i), text: `${leafName(one.path)} [${one.shape.join(', ')}]` }))}
        onChange={(key) => setAt(Number(key))}
      />
      <p class="quiet">{leaf.explained}</p>
      <h4>{leaf.title}</h4>
      <HeatMap
        title={leaf.title}
        matrix={leaf.overTime}
        axes={leaf.axes}
        onPoint={(cell) => cell !== null && !history.grows && onChoose(cell.column)}
      />
      <h4>How much each token changed it</h4>
      <LineChart
        title="How much each token changed it"
        series={[{ name: 'change', values: history.changes }]}
        along="token"
        nameAt={name}
        unit="length of the change"
        bars
        marked={token}
        onPoint={(t) => t !== null && onChoose(t)}
      />
      <Written key={at} leaf={leaf} token={token} look={look} />
    </>
  )
}

/** A matrix state at one token: what was written, and what there is then. */
function Written({ leaf, token, look }: { readonly leaf: Leaf; readonly token: number; readonly look: Look }) {
  const [head, setHead] = useState(0)
  const [row, setRow] = useState<{ row: number; column: number } | null>(null)
  if (leaf.matrices === null) return null
  const { heads, at } = leaf.matrices
  const { before, after, change } = at(token, Math.min(head, heads - 1))
  const axes = { rows: 'row', columns: 'column' }
  return (
    <>
      <h4>Written at token {tokenName(look, token)}</h4>
      {heads > 1 && (
        <Choice
          narrow
          label="Head"
          value={String(head)}
          options={Array.from({ length: heads }, (_, i) => ({ key: String(i), text: String(i + 1) }))}
          onChange={(key) => setHead(Number(key))}
        />
      )}
      <div class="written">
        {(
          [
            ['Before', before],
            ['Change', change],
            ['After', after],
          ] as const
        ).map(([title, matrix]) => (
          <div key={title}>
            <h5>{title}</h5>
            <HeatMap title={`${title}, token ${token + 1}`} matrix={matrix} axes={axes} marked={row} onPoint={setRow} />
          </div>
        ))}
      </div>
    </>
  )
}
