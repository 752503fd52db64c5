import { options, setOptionsOf } from '../../page'
import { InfluencePanel } from './influence-panel'
import { MapPanel } from './map-panel'
import { SignalPanel } from './signal-panel'
import type { Look, Source } from './source'
import { StatePanel } from './state-panel'
import { TokenStrip } from './token-strip'

/** Everything that is seen of one sequence, around one token that is looked at. */
export function Panels({ look, source }: { readonly look: Look; readonly source: Source }) {
  const chosen = options.value.look.token - 1
  const token = look.tokens[chosen] === undefined ? firstLooked(look) : chosen
  const choose = (next: number): void => setOptionsOf('look', { token: next + 1 })
  return (
    <>
      <TokenStrip look={look} token={token} onChoose={choose} />
      <MapPanel look={look} token={token} onChoose={choose} />
      <StatePanel look={look} source={source} token={token} onChoose={choose} />
      <SignalPanel look={look} token={token} />
      <InfluencePanel look={look} source={source} />
    </>
  )
}

/** The last token where something is asked, or else the last. */
function firstLooked({ tokens }: Look): number {
  const asked = tokens.findLastIndex(({ due }) => due !== null)
  return asked < 0 ? tokens.length - 1 : asked
}
