import { useState } from 'preact/hooks'
import { Scrolled } from '../scrolled'
import { pages } from './paper-pages'

/** The file of each paper, as a part of the page that is loaded when it is opened. */
const texts = import.meta.glob<string>(['../../../../../packages/models/src/*.ts', '!**/*.test.ts'], {
  query: '?raw',
  import: 'default',
})

/** A paper's whole file, from this page's own origin; with its address where the sources are published. */
export function SourceText({ paper }: { readonly paper: string }) {
  const [text, setText] = useState<string | null>(null)
  const path = `packages/models/src/${paper}.ts`
  const load = texts[`../../../../../${path}`]
  const open = async (): Promise<void> => {
    try {
      setText((await load?.()) ?? 'Not a part of this page.')
    } catch {
      setText('The source could not be loaded. Close it and open it to try again.')
    }
  }
  return (
    <details class="source" onToggle={(event) => event.currentTarget.open && void open()}>
      <summary>
        Source: <code>{path}</code>
      </summary>
      {pages.repository !== null && (
        <p>
          <a href={`${pages.repository}/blob/main/${path}`} rel="noreferrer" target="_blank">
            In the repository
          </a>
        </p>
      )}
      {text !== null && (
        <Scrolled label={`Source of ${paper}`}>
          <pre class="script">{text}</pre>
        </Scrolled>
      )}
    </details>
  )
}
