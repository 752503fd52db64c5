import { useId } from 'preact/hooks'

interface Props {
  readonly label: string
  readonly value: string
  readonly options: readonly { readonly key: string; readonly text: string }[]
  readonly onChange: (key: string) => void
}

export function Choice({ label, value, options, onChange }: Props) {
  const id = useId()
  return (
    <div class="field narrow">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(({ key, text }) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </div>
  )
}
