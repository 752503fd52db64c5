import { useId } from 'preact/hooks'
import type { Drawing } from '../../experiment/options'

interface Props {
  readonly drawing: Drawing
  readonly busy: boolean
  readonly ready: boolean
  readonly onChange: (drawing: Drawing) => void
  readonly onStart: () => void
  readonly onStop: () => void
}

interface Knob {
  readonly key: Exclude<keyof Drawing, 'prompt'>
  readonly label: string
  readonly hint: string
  readonly min: number
  readonly max: number
  readonly step: number
}

const knobs: readonly Knob[] = [
  { key: 'temperature', label: 'Temperature', hint: '0: likeliest', min: 0, max: 5, step: 0.1 },
  { key: 'topK', label: 'Top k', hint: '0 keeps all', min: 0, max: 100_000, step: 1 },
  { key: 'topP', label: 'Top p', hint: '1 keeps all', min: 0.01, max: 1, step: 0.01 },
  { key: 'repetitionPenalty', label: 'Repetition penalty', hint: '1: none', min: 0.1, max: 10, step: 0.1 },
  { key: 'seed', label: 'Seed', hint: 'of the draws', min: 0, max: Number.MAX_SAFE_INTEGER, step: 1 },
  { key: 'tokens', label: 'Tokens', hint: 'at most', min: 1, max: 5000, step: 1 },
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
          onInput={(event) => onChange({ ...drawing, prompt: event.currentTarget.value })}
        />
      </div>
      <div class="knobs">
        {knobs.map((knob) => (
          <NumberField
            key={knob.key}
            knob={knob}
            value={drawing[knob.key]}
            onChange={(value) => onChange({ ...drawing, [knob.key]: value })}
          />
        ))}
      </div>
      <div class="buttons">
        <button type="submit" class="primary" disabled={busy || !ready}>
          Write
        </button>
        <button type="button" disabled={!busy} onClick={onStop}>
          Stop
        </button>
      </div>
    </form>
  )
}

function NumberField({
  knob: { label, hint, min, max, step },
  value,
  onChange,
}: {
  readonly knob: Knob
  readonly value: number
  readonly onChange: (value: number) => void
}) {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>
        {label} <span class="whose">{hint}</span>
      </label>
      <input
        id={id}
        type="number"
        min={min}
        max={max}
        step={step === 1 ? 1 : 'any'}
        value={value}
        onInput={(event) => {
          const { valueAsNumber, validity } = event.currentTarget
          if (validity.valid && Number.isFinite(valueAsNumber)) onChange(valueAsNumber)
        }}
      />
    </div>
  )
}
