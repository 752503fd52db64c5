import { useRef, useState } from 'preact/hooks'
import type { DrawnToken } from '../../worker/answers/generate'
import { formatCount, formatShare } from '../format'

interface Props {
  readonly prompt: string
  readonly tokens: readonly DrawnToken[]
  /** So many tokens were given by the text that this one was forked from. */
  readonly sharedUpTo: number
  /** Begins another text at a token; null where this is a fork already. */
  readonly onFork: ((token: number) => void) | null
}

/**
 * A text whose tokens are shaded by how surprising they were. One of them can be focused at a time: arrow keys go from
 * token to token, and what was likeliest there is read below.
 */
export function Tokens({ prompt, tokens, sharedUpTo, onFork }: Props) {
  const [at, setAt] = useState(0)
  const [read, setRead] = useState<number | null>(null)
  const text = useRef<HTMLParagraphElement>(null)
  const move = (event: KeyboardEvent): void => {
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tokens.length - 1 }[event.key]
    if (next === undefined || next < 0 || next >= tokens.length) return
    event.preventDefault()
    setAt(next)
    text.current?.querySelectorAll<HTMLElement>('[data-token]')[next]?.focus()
  }
  return (
    <>
      <p ref={text} class="prose tokens" onKeyDown={move} onMouseLeave={() => setRead(null)}>
        <span class="quiet">{prompt}</span>
        {tokens.map((token, i) => (
          // biome-ignore lint/a11y/useSemanticElements: a button would not break across lines as text does
          <span
            key={i}
            data-token={i}
            role="button"
            class={i < sharedUpTo ? 'token shared' : 'token'}
            tabIndex={i === at ? 0 : -1}
            style={{ '--surprise': `${Math.round(surprise(token) * 100)}%` }}
            aria-label={`${visible(token.text)}, ${formatShare(token.probability)}${onFork ? ', fork here' : ''}`}
            onFocus={() => {
              setAt(i)
              setRead(i)
            }}
            onMouseEnter={() => setRead(i)}
            onClick={() => onFork?.(i)}
            onKeyDown={(event) => {
              if (event.key !== 'Enter' && event.key !== ' ') return
              event.preventDefault()
              onFork?.(i)
            }}
          >
            {token.text}
          </span>
        ))}
      </p>
      <p class="reading" aria-hidden="true">
        {read === null || tokens[read] === undefined ? (
          <Key forks={onFork !== null} />
        ) : (
          <Reading at={read} token={tokens[read]} />
        )}
      </p>
    </>
  )
}

function Key({ forks }: { readonly forks: boolean }) {
  return (
    <span class="quiet">
      Shade:{' '}
      <span class="shade" style={{ '--surprise': '0%' }}>
        certain
      </span>{' '}
      <span class="shade" style={{ '--surprise': '50%' }}>
        1 in 32
      </span>{' '}
      <span class="shade" style={{ '--surprise': '100%' }}>
        1 in 1,000
      </span>
      . Point at a token to read it
      {forks ? '; choose it to fork there' : ''}.
    </span>
  )
}

function Reading({ at, token }: { readonly at: number; readonly token: DrawnToken }) {
  return (
    <span>
      Token {formatCount(at + 1)}, <code>{visible(token.text)}</code>, had {formatShare(token.probability)}. Likeliest:{' '}
      {token.likeliest.map(({ id, text, probability }, i) => (
        <span key={id}>
          {i > 0 && ', '}
          <code>{visible(text)}</code> {formatShare(probability)}
        </span>
      ))}
    </span>
  )
}

/** Ten bits of surprise and more are shaded alike. */
function surprise({ probability }: DrawnToken): number {
  return Math.min(1, -Math.log2(Math.max(probability, 1e-9)) / 10)
}

function visible(text: string): string {
  return text === ' ' ? 'space' : text.replaceAll('\n', '↵')
}

const mostRows = 500

/** The same as words and figures. */
export function TokenTable({ tokens }: { readonly tokens: readonly DrawnToken[] }) {
  const [open, setOpen] = useState(false)
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>The tokens as a table</summary>
      {open && (
        <div class="scrolls">
          <table class="plain-table">
            <caption>Tokens and their probabilities</caption>
            <thead>
              <tr>
                <th scope="col">token</th>
                <th scope="col">text</th>
                <th scope="col">probability</th>
                <th scope="col">likeliest</th>
              </tr>
            </thead>
            <tbody>
              {tokens.slice(0, mostRows).map(({ text, probability, likeliest: [first] }, i) => (
                <tr key={i}>
                  <th scope="row">{i + 1}</th>
                  <td>{visible(text)}</td>
                  <td>{formatShare(probability)}</td>
                  <td>{first && `${visible(first.text)}, ${formatShare(first.probability)}`}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  )
}
