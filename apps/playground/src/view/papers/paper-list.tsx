import { useId, useState } from 'preact/hooks'
import { catalogue, type PaperEntry } from '../../experiment/catalogue'
import { addressOf } from '../../page'
import { claimsOf } from './paper-pages'

const families = ['attention', 'recurrent', 'memory'] as const
type Family = (typeof families)[number]
const orders = { title: 'Title', newest: 'Newest first', oldest: 'Oldest first' } as const
type Order = keyof typeof orders

const sorters: Readonly<Record<Order, (a: PaperEntry, b: PaperEntry) => number>> = {
  title: (a, b) => a.title.localeCompare(b.title),
  newest: (a, b) => b.year - a.year || a.title.localeCompare(b.title),
  oldest: (a, b) => a.year - b.year || a.title.localeCompare(b.title),
}

/** Every paper of the registry, found by words and by family. */
export function PaperList() {
  const [words, setWords] = useState('')
  const [family, setFamily] = useState<Family | ''>('')
  const [order, setOrder] = useState<Order>('title')
  const found = catalogue.papers
    .filter((paper) => (family === '' || paper.family === family) && matches(paper, words))
    .toSorted(sorters[order])
  const [wordsId, familyId, orderId] = [useId(), useId(), useId()]
  return (
    <section class="papers" aria-labelledby="papers-title">
      <h2 id="papers-title">Papers</h2>
      <search>
        <form class="filter" onSubmit={(event) => event.preventDefault()}>
          <div class="field grow">
            <label for={wordsId}>Title, author, mechanism</label>
            <input id={wordsId} type="search" value={words} onInput={(event) => setWords(event.currentTarget.value)} />
          </div>
          <div class="field">
            <label for={familyId}>Family</label>
            <select
              id={familyId}
              value={family}
              onChange={(event) => setFamily(families.find((name) => name === event.currentTarget.value) ?? '')}
            >
              <option value="">All</option>
              {families.map((name) => (
                <option key={name} value={name}>
                  {name[0]?.toUpperCase() + name.slice(1)}
                </option>
              ))}
            </select>
          </div>
          <div class="field">
            <label for={orderId}>Order</label>
            <select id={orderId} value={order} onChange={(event) => setOrder(event.currentTarget.value as Order)}>
              {Object.entries(orders).map(([key, text]) => (
                <option key={key} value={key}>
                  {text}
                </option>
              ))}
            </select>
          </div>
        </form>
      </search>
      <p class="quiet" role="status">
        {found.length} of {catalogue.papers.length} papers
      </p>
      <ul class="paper-list">
        {found.map((paper) => (
          <PaperRow key={paper.key} paper={paper} />
        ))}
      </ul>
    </section>
  )
}

function matches(paper: PaperEntry, words: string): boolean {
  const text = [paper.key, paper.title, paper.authors, paper.state, paper.claim, paper.arxiv].join(' ').toLowerCase()
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}

function PaperRow({ paper }: { readonly paper: PaperEntry }) {
  const verdicts = claimsOf(paper.key).filter(({ verdict }) => verdict !== null)
  return (
    <li>
      <h3>
        <a href={addressOf({ key: 'papers', detail: paper.key })}>{paper.title}</a>
      </h3>
      <p class="quiet">
        {paper.authors}, {paper.year} · {paper.family}
        {verdicts.length > 0 && ` · measured in ${verdicts.length === 1 ? 'one claim' : `${verdicts.length} claims`}`}
      </p>
      <dl>
        <div class="paper-facts">
          <dt>State</dt>
          <dd>{paper.state}</dd>
        </div>
        <div class="paper-facts">
          <dt>Cost</dt>
          <dd>{paper.cost}</dd>
        </div>
      </dl>
    </li>
  )
}
