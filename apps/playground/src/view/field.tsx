import { useId } from 'preact/hooks'

/** A value that stands for one that is decided elsewhere. */
export interface Automatic {
  /** What the setting then is: written as nothing. */
  readonly when: number
  /** What is meant by it, and who decides. */
  readonly value: number
  readonly whose: string
}

interface Props {
  readonly label: string
  readonly value: unknown
  /** The value that the field has unless it is changed; gives the kind of the field. */
  readonly standard: unknown
  readonly automatic?: Automatic | undefined
  readonly onChange: (value: unknown) => void
}

/** One setting, as the kind of its default asks: a number, a switch, a word, or JSON for all else. */
export function Field({ label, value, standard, automatic, onChange }: Props) {
  const id = useId()
  const changed = JSON.stringify(value) !== JSON.stringify(standard)
  const byDefault = automatic?.when === standard ? `the ${automatic?.whose}` : JSON.stringify(standard)
  return (
    <div class={changed ? 'field changed' : 'field'}>
      <label for={id} title={changed ? `${label}, by default ${byDefault}` : label}>
        {label}
        {automatic?.when === value && <span class="whose"> {automatic?.whose}</span>}
      </label>
      {typeof standard === 'boolean' ? (
        <input id={id} type="checkbox" checked={value === true} onChange={(e) => onChange(e.currentTarget.checked)} />
      ) : (
        <TextField id={id} value={value} standard={standard} automatic={automatic} onChange={onChange} />
      )}
    </div>
  )
}

function TextField({ id, value, standard, automatic, onChange }: Omit<Props, 'label'> & { readonly id: string }) {
  const isNumber = typeof standard === 'number'
  const isText = typeof standard === 'string'
  const left = automatic !== undefined && value === automatic.when
  return (
    <input
      id={id}
      type="text"
      inputMode={isNumber ? 'decimal' : 'text'}
      autocomplete="off"
      spellcheck={false}
      placeholder={automatic && String(automatic.value)}
      title={automatic && `Left empty: ${automatic.value}, the ${automatic.whose}`}
      value={left ? '' : isNumber || isText ? String(value) : JSON.stringify(value)}
      onInput={(event) => {
        const input = event.currentTarget
        const empty = automatic !== undefined && input.value.trim() === ''
        const read = empty ? automatic.when : isText ? input.value : parsed(input.value)
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
