import { Component } from 'preact'
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
    const chosen = event.key === 'Enter' || event.key === ' '
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tokens.length - 1 }[event.key]
    if (!chosen && (next === undefined || next < 0 || next >= tokens.length)) return
    event.preventDefault()
    if (chosen) onFork?.(at)
    else text.current?.querySelectorAll<HTMLElement>('[data-token]')[next ?? 0]?.focus()
  }
  const chunks = Array.from({ length: Math.ceil(tokens.length / chunkSize) }, (_, i) => i * chunkSize)
  return (
    <>
      {/* biome-ignore lint/a11y/useKeyWithMouseEvents: onFocusIn reads too, and unlike onFocus hears the tokens within */}
      <p
        ref={text}
        class="prose tokens"
        onKeyDown={move}
        onClick={(event) => {
          const token = tokenOf(event)
          if (token !== null) onFork?.(token)
        }}
        onMouseOver={(event) => setRead(tokenOf(event))}
        onMouseLeave={() => setRead(null)}
        onFocusIn={(event) => {
          const token = tokenOf(event)
          if (token === null) return
          setAt(token)
          setRead(token)
        }}
      >
        <span class="quiet">{prompt}</span>
        {chunks.map((start) => (
          <Chunk
            key={start}
            start={start}
            tokens={tokens.slice(start, start + chunkSize)}
            focused={at >= start && at < start + chunkSize ? at : -1}
            sharedUpTo={sharedUpTo}
            forks={onFork !== null}
          />
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

/** A chunk that is full is not drawn again while more is written. */
const chunkSize = 64

interface ChunkProps {
  readonly start: number
  readonly tokens: readonly DrawnToken[]
  /** The token that the keyboard reaches, if it is here. */
  readonly focused: number
  readonly sharedUpTo: number
  readonly forks: boolean
}

class Chunk extends Component<ChunkProps> {
  override shouldComponentUpdate(next: ChunkProps): boolean {
    const { tokens, focused } = this.props
    const [first, last] = [next.tokens[0] !== tokens[0], next.tokens.length !== tokens.length]
    return first || last || next.focused !== focused
  }

  override render({ start, tokens, focused, sharedUpTo, forks }: ChunkProps) {
    return tokens.map((token, i) => (
      // biome-ignore lint/a11y/useSemanticElements: a button would not break across lines as text does
      <span
        key={start + i}
        data-token={start + i}
        role="button"
        class={start + i < sharedUpTo ? 'token shared' : 'token'}
        tabIndex={start + i === focused ? 0 : -1}
        style={{ '--surprise': `${Math.round(surprise(token) * 100)}%` }}
        aria-label={`${visible(token.text)}, ${formatShare(token.probability)}${forks ? ', fork here' : ''}`}
      >
        {token.text}
      </span>
    ))
  }
}

/** The token that an event came from. */
function tokenOf({ target }: Event): number | null {
  const place = target instanceof HTMLElement ? target.dataset.token : undefined
  return place === undefined ? null : Number(place)
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
