import { findPaper } from '../experiment/catalogue'
import type { Lane } from '../lane'
import { MathLines } from './math-lines'

/** The paper behind a run: what it says, what it costs, and where this implementation departs from it. */
export function PaperCard({ lane }: { readonly lane: Lane }) {
  const paper = findPaper(lane.experiment.value.paper)
  if (paper === undefined) return null
  return (
    <section class="paper" aria-label={`Paper of run ${lane.slot.toUpperCase()}`}>
      <h3>{paper.title}</h3>
      <p class="quiet">
        {paper.authors}, {paper.year}.{' '}
        <a href={`https://arxiv.org/abs/${paper.arxiv}`} rel="noreferrer" target="_blank">
          arXiv:{paper.arxiv}
        </a>
      </p>
      <MathLines lines={paper.equation} label={`Equation of run ${lane.slot.toUpperCase()}`} />
      <dl>
        <dt>State</dt>
        <dd>{paper.state}</dd>
        <dt>Cost of a token</dt>
        <dd>{paper.cost}</dd>
        {paper.differs.length > 0 && (
          <>
            <dt>Differs</dt>
            {paper.differs.map((difference) => (
              <dd key={difference}>{difference}</dd>
            ))}
          </>
        )}
        <dt>Claim to test</dt>
        <dd>{paper.claim}</dd>
      </dl>
    </section>
  )
}
