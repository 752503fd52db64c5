import '../../style/papers.css'
import '../../style/picture.css'
import { findPaper } from '../../experiment/catalogue'
import { addressOf } from '../../page'
import { PaperList } from './paper-list'
import { PaperPage } from './paper-page'

/** All papers, or the page of one: `view=papers/mamba`. */
export default function Papers({ detail }: { readonly detail: string }) {
  if (detail === '') return <PaperList />
  const paper = findPaper(detail)
  if (paper !== undefined) return <PaperPage key={paper.key} paper={paper} />
  return (
    <p class="problem" role="alert">
      There is no paper ‘{detail}’. <a href={addressOf({ key: 'papers', detail: '' })}>All papers</a> are listed.
    </p>
  )
}
