import { useId, useState } from 'preact/hooks'
import { options, setOptionsOf } from '../../page'
import { type Cell, HeatMap } from '../../picture/heat-map'
import { LineChart } from '../../picture/line-chart'
import { numbers } from '../../picture/matrix'
import { ChoiceAt } from '../choice'
import { type LeafHistory, type Look, type Source, tokenName } from './source'
import { type Leaf, leafName, leafOf } from './state-leaf'
import { useAnswer } from './use-answer'

interface Props {
  readonly look: Look
  readonly source: Source
  readonly token: number
  readonly onChoose: (token: number) => void
}

/** What is remembered, token by token: the whole state over time, and what each token wrote. */
export function StatePanel({ look, source, token, onChoose }: Props) {
  const title = useId()
  const found = useAnswer(
    async () => (look.causal ? source.states(look.tokens.map(({ id }) => id)) : []),
    [look, source],
  )
  return (
    <section aria-labelledby={title}>
      <h3 id={title}>What is remembered</h3>
      {!look.causal ? (
        <p class="quiet">This model looks both ways: it reads a sequence whole, and keeps no state between tokens.</p>
      ) : found === null ? (
        <p class="quiet">Reading the sequence token by token.</p>
      ) : 'problem' in found ? (
        <p class="problem">{found.problem}</p>
      ) : found.value.length === 0 ? (
        <p class="quiet">This model keeps nothing from one token to the next.</p>
      ) : (
        <Leaves look={look} leaves={found.value} token={token} onChoose={onChoose} />
      )}
    </section>
  )
}

interface LeavesProps extends Omit<Props, 'source'> {
  readonly leaves: readonly LeafHistory[]
}

function Leaves({ look, leaves, token, onChoose }: LeavesProps) {
  const first = Math.max(
    0,
    leaves.findIndex(({ path }) => /memory|\.h$|weights|keys|state/.test(path)),
  )
  const { state } = options.value.look
  const at = leaves[state - 1] === undefined ? first : state - 1
  const history = leaves[at]
  if (history === undefined) return null
  const leaf = leafOf(history, look)
  const name = (t: number): string => tokenName(look, t)
  return (
    <>
      <ChoiceAt
        label="Part of the state"
        names={leaves.map(({ path, shape }) => `${leafName(path)} [${shape.join(', ')}]`)}
        at={at}
        onChange={(next) => setOptionsOf('look', { state: next + 1 })}
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
  const [cell, setCell] = useState<Cell | null>(null)
  if (leaf.matrices === null) return null
  const { heads, at } = leaf.matrices
  const head = Math.min(options.value.look.stateHead, heads) - 1
  const { before, after, change } = at(token, head)
  const axes = { rows: 'row', columns: 'column' }
  return (
    <>
      <h4>Written at token {tokenName(look, token)}</h4>
      {heads > 1 && (
        <ChoiceAt
          label="Head"
          names={numbers(heads)}
          at={head}
          onChange={(next) => setOptionsOf('look', { stateHead: next + 1 })}
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
            <HeatMap
              title={`${title}, token ${token + 1}`}
              matrix={matrix}
              axes={axes}
              marked={cell}
              onPoint={setCell}
            />
          </div>
        ))}
      </div>
    </>
  )
}
