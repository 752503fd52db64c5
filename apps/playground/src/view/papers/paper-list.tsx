import { useId } from 'preact/hooks'
import { catalogue, type PaperEntry } from '../../experiment/catalogue'
import { families, type Options, paperOrders } from '../../experiment/options'
import { addressOf, options, setOptionsOf } from '../../page'
import { Choice } from '../choice'
import { capitalised } from '../format'
import { claimsOf } from './paper-pages'

type Filter = Options['papers']

const orderNames: Readonly<Record<Filter['order'], string>> = {
  title: 'Title',
  newest: 'Newest first',
  oldest: 'Oldest first',
}

const sorters: Readonly<Record<Filter['order'], (a: PaperEntry, b: PaperEntry) => number>> = {
  title: (a, b) => a.title.localeCompare(b.title),
  newest: (a, b) => b.year - a.year || a.title.localeCompare(b.title),
  oldest: (a, b) => a.year - b.year || a.title.localeCompare(b.title),
}

/** Every paper of the registry, found by words and by family. */
export function PaperList() {
  const { words, family, order } = options.value.papers
  const filter = (changes: Partial<Filter>): void => setOptionsOf('papers', changes)
  const found = catalogue.papers
    .filter((paper) => (family === '' || paper.family === family) && matches(paper, words))
    .toSorted(sorters[order])
  const wordsId = useId()
  return (
    <section class="papers" aria-labelledby="papers-title">
      <h2 id="papers-title">Papers</h2>
      <search>
        <form class="filter" onSubmit={(event) => event.preventDefault()}>
          <div class="field grow">
            <label for={wordsId}>Title, author, mechanism</label>
            <input
              id={wordsId}
              type="search"
              value={words}
              onInput={(event) => filter({ words: event.currentTarget.value })}
            />
          </div>
          <Choice
            narrow
            label="Family"
            value={family}
            options={[{ key: '', text: 'All' }, ...families.map((key) => ({ key, text: capitalised(key) }))]}
            onChange={(key) => filter({ family: key })}
          />
          <Choice
            narrow
            label="Order"
            value={order}
            options={paperOrders.map((key) => ({ key, text: orderNames[key] }))}
            onChange={(key) => filter({ order: key })}
          />
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
