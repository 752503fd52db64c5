import { useId } from 'preact/hooks'

interface Props<K extends string> {
  readonly label: string
  readonly value: K
  readonly options: readonly { readonly key: K; readonly text: string }[]
  readonly onChange: (key: K) => void
}

/** One of a few, all in sight: a row of radio buttons. */
export function ChoiceOf<K extends string>({ label, value, options, onChange }: Props<K>) {
  const name = useId()
  return (
    <fieldset class="choice-of">
      <legend>{label}</legend>
      {options.map(({ key, text }) => (
        <label key={key}>
          <input type="radio" name={name} value={key} checked={key === value} onChange={() => onChange(key)} />
          <span>{text}</span>
        </label>
      ))}
    </fieldset>
  )
}
