import { useState } from 'preact/hooks'
import { InfluencePanel } from './influence-panel'
import { MapPanel } from './map-panel'
import { SignalPanel } from './signal-panel'
import type { Look, Source } from './source'
import { StatePanel } from './state-panel'
import { TokenStrip } from './token-strip'

/** Everything that is seen of one sequence, around one token that is looked at. */
export function Panels({ look, source }: { readonly look: Look; readonly source: Source }) {
  const asked = look.tokens.findLastIndex(({ due }) => due !== null)
  const [chosen, setChosen] = useState(asked < 0 ? look.tokens.length - 1 : asked)
  const token = Math.min(chosen, look.tokens.length - 1)
  return (
    <>
      <TokenStrip look={look} token={token} onChoose={setChosen} />
      <MapPanel look={look} token={token} onChoose={setChosen} />
      <StatePanel look={look} source={source} token={token} onChoose={setChosen} />
      <SignalPanel look={look} token={token} />
      <InfluencePanel look={look} source={source} />
    </>
  )
}
