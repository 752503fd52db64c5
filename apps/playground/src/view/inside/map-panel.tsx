import { useId } from 'preact/hooks'
import { options, setOptionsOf } from '../../page'
import { HeatMap } from '../../picture/heat-map'
import type { Matrix } from '../../picture/matrix'
import { scaleOf } from '../../picture/scale'
import { ChoiceAt } from '../choice'
import { Links } from './links'
import { type Look, tokenName } from './source'
import { Thumbnail } from './thumbnail'

interface Props {
  readonly look: Look
  readonly token: number
  readonly onChoose: (token: number) => void
}

type TokenMap = Look['maps'][number]

/** Who reads whom: one head large, all heads small, and lines from token to token. */
export function MapPanel({ look, token, onChoose }: Props) {
  const title = useId()
  const chosen = options.value.look
  const at = look.maps[chosen.map - 1] === undefined ? 0 : chosen.map - 1
  const map = look.maps[at]
  return (
    <section aria-labelledby={title}>
      <h3 id={title}>Which token reads which</h3>
      {map === undefined ? (
        <p class="quiet">Nothing in this model sums values over tokens, so there is no map. See its state below.</p>
      ) : (
        <>
          <ChoiceAt
            label="Map"
            names={look.maps.map((one) => nameOf(one, look))}
            at={at}
            onChange={(next) => setOptionsOf('look', { map: next + 1 })}
          />
          <p class="quiet">{explained(map, look)}</p>
          <Heads
            key={at}
            look={look}
            map={map}
            part={Math.min(chosen.head, map.parts.length) - 1}
            onPart={(part) => setOptionsOf('look', { head: part + 1 })}
            token={token}
            onChoose={onChoose}
          />
        </>
      )}
    </section>
  )
}

function nameOf({ path, op, call }: TokenMap, { maps }: Look): string {
  const several = maps.filter((other) => other.path === path && other.op === op).length > 1
  return `${path === '' ? 'model' : path.replace('layers.', 'layer ')}, ${words(op)}${several ? `, call ${call + 1}` : ''}`
}

const words = (op: string): string => op.replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`)

/** What the map is, and what it leaves out. */
function explained(map: TokenMap, look: Look): string {
  const { rows, columns, by, carriesMore } = map
  const exact =
    by === 'head'
      ? 'Weights are exact: the operation was run again on values that are 1 at one token.'
      : 'Weights are exact, channel by channel: what decay has left of each token’s input.'
  const places =
    rows === look.tokens.length && columns === rows
      ? ''
      : ' This call has places of its own, such as a segment, a window or memory tokens; they are numbered.'
  return exact + places + (carriesMore ? ' What the state held before this call is left out.' : '')
}

interface HeadsProps extends Props {
  readonly map: TokenMap
  readonly part: number
  readonly onPart: (part: number) => void
}

function Heads({ look, map, part, onPart, token, onChoose }: HeadsProps) {
  const matrices = map.parts.map((_, i) => matrixOf(map, i, look))
  const shown = matrices[part] as Matrix
  const scale = scaleOf(Array.from(shown.values))
  const name = (i: number): string => `${map.by} ${(map.parts[i] as number) + 1}`
  const whole = map.rows === look.tokens.length && map.columns === map.rows
  return (
    <>
      <ul class="thumbnails" aria-label={`All ${map.by}s`}>
        {matrices.map((matrix, i) => (
          <li key={map.parts[i]}>
            <Thumbnail name={name(i)} matrix={matrix} chosen={i === part} onChoose={() => onPart(i)} />
          </li>
        ))}
      </ul>
      <div class="map-pair">
        <HeatMap
          tall
          title={`${nameOf(map, look)}, ${name(part)}`}
          matrix={shown}
          scale={scale}
          axes={{ rows: 'token', columns: 'reads' }}
          onPoint={(cell) => cell !== null && whole && onChoose(cell.row)}
        />
        <Links matrix={shown} scale={scale} row={whole ? token : null} />
      </div>
    </>
  )
}

function matrixOf({ rows, columns, weights }: TokenMap, part: number, look: Look): Matrix {
  const size = rows * columns
  const T = look.tokens.length
  const named = (count: number) => (i: number) => (count === T ? tokenName(look, i) : String(i + 1))
  return {
    rows,
    columns,
    values: weights.subarray(part * size, (part + 1) * size),
    rowName: named(rows),
    columnName: named(columns),
  }
}
