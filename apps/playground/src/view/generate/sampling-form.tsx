import { useId } from 'preact/hooks'
import { allOptions, type Drawing } from '../../experiment/options'
import { StartStop } from '../start-stop'

interface Props {
  readonly drawing: Drawing
  readonly busy: boolean
  readonly ready: boolean
  readonly onChange: (changes: Partial<Drawing>) => void
  readonly onStart: () => void
  readonly onStop: () => void
}

interface Knob {
  readonly key: Exclude<keyof Drawing, 'prompt'>
  readonly label: string
  readonly hint: string
}

const knobs: readonly Knob[] = [
  { key: 'temperature', label: 'Temperature', hint: '0: likeliest' },
  { key: 'topK', label: 'Top k', hint: '0 keeps all' },
  { key: 'topP', label: 'Top p', hint: '1 keeps all' },
  { key: 'repetitionPenalty', label: 'Repetition penalty', hint: '1: none' },
  { key: 'seed', label: 'Seed', hint: 'of the draws' },
  { key: 'tokens', label: 'Tokens', hint: 'at most' },
]

/** The prompt and how tokens are drawn after it. */
export function SamplingForm({ drawing, busy, ready, onChange, onStart, onStop }: Props) {
  const promptId = useId()
  return (
    <form
      class="sampling"
      aria-label="Sampling"
      onSubmit={(event) => {
        event.preventDefault()
        onStart()
      }}
    >
      <div class="field grow">
        <label for={promptId}>Prompt</label>
        <textarea
          id={promptId}
          rows={2}
          required
          value={drawing.prompt}
          onInput={(event) => onChange({ prompt: event.currentTarget.value })}
        />
      </div>
      <div class="knobs">
        {knobs.map((knob) => (
          <NumberField
            key={knob.key}
            knob={knob}
            value={drawing[knob.key]}
            onChange={(value) => onChange({ [knob.key]: value })}
          />
        ))}
      </div>
      <StartStop start="Write" busy={busy} ready={ready} onStop={onStop} />
    </form>
  )
}

function NumberField({
  knob: { key, label, hint },
  value,
  onChange,
}: {
  readonly knob: Knob
  readonly value: number
  readonly onChange: (value: number) => void
}) {
  const id = useId()
  const { least, most, step } = allOptions.draw[key]
  return (
    <div class="field">
      <label for={id}>
        {label} <span class="whose">{hint}</span>
      </label>
      <input
        id={id}
        type="number"
        min={least}
        max={most}
        step={step}
        value={value}
        onInput={(event) => {
          const { valueAsNumber, validity } = event.currentTarget
          if (validity.valid && Number.isFinite(valueAsNumber)) onChange(valueAsNumber)
        }}
      />
    </div>
  )
}
