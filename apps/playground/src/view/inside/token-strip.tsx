import { formatShare } from '../format'
import { type Look, shownText, tokenName } from './source'

interface Props {
  readonly look: Look
  readonly token: number
  readonly onChoose: (token: number) => void
}

/** The sequence, of which one token is chosen, and what the model expects after that. */
export function TokenStrip({ look, token, onChoose }: Props) {
  const seen = look.tokens[token]
  return (
    <section aria-labelledby="tokens-title">
      <h3 id="tokens-title">Tokens</h3>
      <ol class="token-strip">
        {look.tokens.map(({ text, due, guesses }, t) => {
          const right = due !== null && guesses[0]?.text === due.text
          const mark = due === null ? '' : right ? ' right' : ' wrong'
          return (
            <li key={t}>
              <button
                type="button"
                class={`token${mark}`}
                aria-pressed={t === token}
                aria-label={`Token ${tokenName(look, t)}${due === null ? '' : right ? ', answered right' : ', answered wrong'}`}
                onClick={() => onChoose(t)}
              >
                {shownText(text)}
              </button>
            </li>
          )
        })}
      </ol>
      {seen !== undefined && (
        <p class="expected">
          After token {tokenName(look, token)} the model expects{' '}
          {seen.guesses.map(({ text, probability }) => `‘${shownText(text)}’ ${formatShare(probability)}`).join(', ')}.
          {seen.due !== null && (
            <strong>
              {' '}
              Due is ‘{shownText(seen.due.text)}’, with {formatShare(seen.due.probability)}.
            </strong>
          )}
        </p>
      )}
    </section>
  )
}
