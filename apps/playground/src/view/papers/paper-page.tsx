import type { PaperEntry } from '../../experiment/catalogue'
import { quickExperiment } from '../../experiment/starting-point'
import { addressOf, addressOfExperiments } from '../../page'
import { capitalised } from '../format'
import { MathLines } from '../math-lines'
import { ClaimTable } from './claim-table'
import { claimsOf, pages } from './paper-pages'
import { SourceText } from './source-text'
import { TinyRun } from './tiny-run'

/** All that is known of one paper, from its card, its claims and its smallest configuration. */
export function PaperPage({ paper }: { readonly paper: PaperEntry }) {
  const claims = claimsOf(paper.key)
  return (
    <article class="paper-page" aria-labelledby="paper-title">
      <p>
        <a href={addressOf({ key: 'papers', detail: '' })}>All papers</a>
      </p>
      <header>
        <h2 id="paper-title">{paper.title}</h2>
        <p class="quiet">
          {paper.authors}, {paper.year}. {capitalised(paper.kind)}, {paper.family}.
        </p>
      </header>
      <MathLines lines={paper.equation} />
      <div class="facts">
        <Facts paper={paper} />
        <Letters paper={paper} />
      </div>
      <section aria-labelledby="differs-title">
        <h3 id="differs-title">Where this implementation differs</h3>
        {paper.differs.length === 0 ? (
          <p>Nowhere that is known.</p>
        ) : (
          <ul>
            {paper.differs.map((difference) => (
              <li key={difference}>{difference}</li>
            ))}
          </ul>
        )}
      </section>
      <section aria-labelledby="claim-title">
        <h3 id="claim-title">Claim</h3>
        <p>{paper.claim}</p>
        {claims.length === 0 ? (
          <p class="quiet">Not measured in this repository yet.</p>
        ) : (
          claims.map((claim) => <ClaimTable key={claim.key} claim={claim} of={paper.key} />)
        )}
      </section>
      <TinyRun experiment={pages.tiny[paper.key]} />
      <p class="links">
        <a class="button" href={addressOfExperiments([quickExperiment(paper.key)])}>
          Train it on a novel
        </a>
        <a href={`https://arxiv.org/abs/${paper.arxiv}`} rel="noreferrer" target="_blank">
          arXiv:{paper.arxiv}
        </a>
      </p>
      <SourceText paper={paper.key} />
    </article>
  )
}

function Facts({ paper }: { readonly paper: PaperEntry }) {
  return (
    <dl>
      <dt>State</dt>
      <dd>{paper.state}</dd>
      <dt class="next">Cost of a token</dt>
      <dd>{paper.cost}</dd>
    </dl>
  )
}

/** The axis letters that state and cost are written in. */
function Letters({ paper }: { readonly paper: PaperEntry }) {
  // a state is named by a letter of its own before its size: `S, H K V values`
  const size = paper.state.replace(/(^|; )[A-Z](?=,| and )/g, '$1')
  const used = new Set(`${size} ${paper.cost}`.match(/\b[A-Z]\b/g))
  const rows = pages.letters
    .map(({ letters, meaning }) => ({ letters: letters.filter((letter) => used.has(letter)), meaning }))
    .filter(({ letters }) => letters.length > 0)
  if (rows.length === 0) return null
  return (
    <dl class="letters">
      {rows.map(({ letters, meaning }) => (
        <div key={letters.join()} class="letter">
          <dt class="letter-name">{letters.join(', ')}</dt>
          <dd>{meaning}</dd>
        </div>
      ))}
    </dl>
  )
}
