import { useId } from 'preact/hooks'

interface Props<K extends string> {
  readonly label: string
  readonly value: K
  readonly options: readonly { readonly key: K; readonly text: string }[]
  readonly onChange: (key: K) => void
  /** As narrow as its options, rather than as wide as there is room. */
  readonly narrow?: boolean
}

/** One of many, from a list that opens. */
export function Choice<K extends string>({ label, value, options, onChange, narrow = false }: Props<K>) {
  const id = useId()
  return (
    <div class={narrow ? 'field narrow' : 'field choice'}>
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value as K)}>
        {options.map(({ key, text }) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </div>
  )
}

interface PlaceProps {
  readonly label: string
  readonly names: readonly string[]
  /** From 0 on. */
  readonly at: number
  readonly onChange: (at: number) => void
}

/** One of a list that is told apart by its place. */
export function ChoiceAt({ label, names, at, onChange }: PlaceProps) {
  return (
    <Choice
      narrow
      label={label}
      value={String(at)}
      options={names.map((text, i) => ({ key: String(i), text }))}
      onChange={(key) => onChange(Number(key))}
    />
  )
}
