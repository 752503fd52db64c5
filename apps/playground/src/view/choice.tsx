import { useId } from 'preact/hooks'

interface Props {
  readonly label: string
  readonly value: string
  readonly options: readonly { readonly key: string; readonly text: string }[]
  readonly onChange: (key: string) => void
  /** As narrow as its options, rather than as wide as there is room. */
  readonly narrow?: boolean
}

/** One of many, from a list that opens. */
export function Choice({ label, value, options, onChange, narrow = false }: Props) {
  const id = useId()
  return (
    <div class={narrow ? 'field narrow' : 'field choice'}>
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
