import { useSignal } from '@preact/signals'
import { useEffect, useRef, useState } from 'preact/hooks'
import { addressOf, addressProblem, currentAddress, lanes, openDefault, view } from '../page'
import { findView, type ViewEntry, type ViewPage, views } from '../views'
import { Announcer } from './announcer'
import { Train } from './train'

export function App() {
  return (
    <>
      <Masthead />
      <Navigation />
      <main>{addressProblem.value === null ? <Shown /> : <AddressProblem message={addressProblem.value} />}</main>
      <Announcer lanes={lanes.value} />
    </>
  )
}

function Masthead() {
  const [copied, setCopied] = useState(false)
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(currentAddress())
    setCopied(true)
    setTimeout(() => setCopied(false), 2000)
  }
  return (
    <header class="masthead">
      <h1>mneme</h1>
      <p>Sequence models with memory, training in this tab. Nothing leaves your machine.</p>
      <button type="button" onClick={() => void copy()}>
        {copied ? 'Link copied' : 'Copy link'}
      </button>
    </header>
  )
}

function Navigation() {
  const { key: current } = view.value
  const list = useRef<HTMLElement>(null)
  useEffect(() => {
    // on a phone the list is longer than the screen is wide
    list.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' })
  }, [current])
  return (
    <nav ref={list} class="views" aria-label="Views">
      {views.map(({ key, title }) => (
        <a key={key} href={addressOf({ key, detail: '' })} aria-current={key === current ? 'page' : undefined}>
          {title}
        </a>
      ))}
    </nav>
  )
}

function AddressProblem({ message }: { readonly message: string }) {
  return (
    <div class="problem" role="alert">
      <p>
        The address of this page does not name an experiment. <strong>{message}</strong>
      </p>
      <p>
        Correct the part after # in the address, or{' '}
        <button type="button" onClick={openDefault}>
          open the default experiment
        </button>
      </p>
    </div>
  )
}

function Shown() {
  const { key, detail } = view.value
  const entry = findView(key)
  if (entry?.load === undefined) return <Train />
  return <Loaded key={key} load={entry.load} detail={detail} />
}

/** A view's code comes when it is first asked for. */
function Loaded({ load, detail }: { readonly load: NonNullable<ViewEntry['load']>; readonly detail: string }) {
  const page = useSignal<ViewPage | null>(null)
  const failed = useSignal(false)
  useEffect(() => {
    load().then(
      (module) => {
        page.value = module.default
      },
      () => {
        failed.value = true
      },
    )
  }, [load])
  if (failed.value) return <p role="alert">This view could not be loaded. Reload the page to try again.</p>
  const Page = page.value
  return Page === null ? <p class="quiet">Loading.</p> : <Page detail={detail} />
}
