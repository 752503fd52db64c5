import { useId, useState } from 'preact/hooks'
import { findPaper } from '../experiment/catalogue'
import { type Equalised, equalise } from '../experiment/equalise'
import type { Equal } from '../experiment/options'
import { closeEnough, type Measured } from '../experiment/solve'
import type { Lane } from '../lane'
import { options, setOptions, startIn } from '../page'
import { ChoiceOf } from './choice-of'
import { formatCount } from './format'

const counted: Readonly<Record<'parameters' | 'state', { readonly key: keyof Measured; readonly unit: string }>> = {
  parameters: { key: 'parameters', unit: 'parameters' },
  state: { key: 'stateBytes', unit: 'bytes of state' },
}

const names: readonly { readonly key: Equal; readonly text: string }[] = [
  { key: 'none', text: 'as they are' },
  { key: 'parameters', text: 'equal parameters' },
  { key: 'state', text: 'equal state bytes' },
  { key: 'time', text: 'equal time' },
]

/** Makes the other runs comparable with the first, in one respect at a time. */
export function MakeEqual({ runs }: { readonly runs: readonly Lane[] }) {
  const [words, setWords] = useState<readonly string[]>([])
  const [busy, setBusy] = useState(false)
  const { equal } = options.value

  const choose = async (next: Equal): Promise<void> => {
    setOptions({ equal: next })
    setWords([])
    if (next !== 'parameters' && next !== 'state') return
    setBusy(true)
    try {
      await solveFor(next)
    } catch (error) {
      setWords((before) => [...before, (error as Error).message])
    }
    setBusy(false)
  }

  const solveFor = async (what: 'parameters' | 'state'): Promise<void> => {
    const { key, unit } = counted[what]
    const experiments = runs.map(({ experiment }) => experiment.value)
    await equalise(experiments, key, (i, found) => {
      setWords((before) => [...before, inWords(runs[i], found, unit)])
      const lane = runs[i]
      if (lane && found.solution.changed.length > 0) startIn(lane, found.experiment)
    })
  }

  return (
    <div class="make-equal" aria-busy={busy}>
      <ChoiceOf label="Compare" value={equal} options={names} onChange={(next) => void choose(next)} />
      {(equal === 'parameters' || equal === 'state') && (
        <button type="button" disabled={busy} onClick={() => void choose(equal)}>
          Solve again
        </button>
      )}
      {equal === 'time' && <Seconds />}
      <p class="quiet note" role="status">
        {busy ? 'Counting models of other widths. ' : ''}
        {equal === 'time' && 'Runs take turns, one at a time, until each has trained as long. '}
        {words.join(' ')}
      </p>
    </div>
  )
}

function inWords(lane: Lane | undefined, { target, solution }: Equalised, unit: string): string {
  const { value, off, changed, config } = solution
  const name = `Run ${lane?.slot.toUpperCase()}`
  const standard = findPaper(lane?.experiment.value.paper ?? '')?.config ?? {}
  const settings = changed.map((key) => `${key} ${config[key] ?? standard[key]}`).join(', ')
  const away = `${(100 * Math.abs(off)).toFixed(1)} % ${off < 0 ? 'below' : 'above'} the ${formatCount(target)} of run A`
  const how = settings === '' ? 'as it was' : `with ${settings}`
  const far = Math.abs(off) > closeEnough ? ', no nearer by its settings' : ''
  return `${name}: ${formatCount(value)} ${unit}, ${off === 0 ? 'the same as run A' : away}, ${how}${far}.`
}

function Seconds() {
  const id = useId()
  return (
    <div class="field seconds">
      <label for={id}>Seconds each</label>
      <input
        id={id}
        type="number"
        min="1"
        max="86400"
        value={options.value.seconds}
        onChange={(event) => {
          const { valueAsNumber, validity } = event.currentTarget
          if (validity.valid && valueAsNumber >= 1) setOptions({ seconds: valueAsNumber })
        }}
      />
    </div>
  )
}
