import { useId } from 'preact/hooks'

interface Props {
  readonly label: string
  readonly value: unknown
  /** The value that the field has unless it is changed; gives the kind of the field. */
  readonly standard: unknown
  readonly onChange: (value: unknown) => void
}

/** One setting, as the kind of its default asks: a number, a switch, a word, or JSON for all else. */
export function Field({ label, value, standard, onChange }: Props) {
  const id = useId()
  const changed = JSON.stringify(value) !== JSON.stringify(standard)
  return (
    <div class={changed ? 'field changed' : 'field'}>
      <label for={id} title={changed ? `${label}, by default ${JSON.stringify(standard)}` : label}>
        {label}
      </label>
      {typeof standard === 'boolean' ? (
        <input id={id} type="checkbox" checked={value === true} onChange={(e) => onChange(e.currentTarget.checked)} />
      ) : (
        <TextField id={id} value={value} standard={standard} onChange={onChange} />
      )}
    </div>
  )
}

function TextField({ id, value, standard, onChange }: Omit<Props, 'label'> & { readonly id: string }) {
  const isNumber = typeof standard === 'number'
  const isText = typeof standard === 'string'
  return (
    <input
      id={id}
      type="text"
      inputMode={isNumber ? 'decimal' : 'text'}
      autocomplete="off"
      spellcheck={false}
      value={isNumber || isText ? String(value) : JSON.stringify(value)}
      onInput={(event) => {
        const input = event.currentTarget
        const read = isText ? input.value : parsed(input.value)
        const problem = read === undefined ? 'Expected JSON, such as null or 12.' : isNumber ? numberProblem(read) : ''
        input.setCustomValidity(problem)
        if (problem === '') onChange(read)
      }}
    />
  )
}

function numberProblem(value: unknown): string {
  return typeof value === 'number' && Number.isFinite(value) ? '' : 'Expected a number, such as 12, 0.003 or 1e-3.'
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
