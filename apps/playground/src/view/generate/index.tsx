import { useEffect, useRef, useState } from 'preact/hooks'
import type { Lane } from '../../lane'
import { options, setOptionsOf } from '../../page'
import type { GenerateReply } from '../../worker/answers/generate'
import { formatBytes, formatCount } from '../format'
import { chosenRun, RunChoice } from '../run-choice'
import '../../style/generate.css'
import { SamplingForm } from './sampling-form'
import { Tokens, TokenTable } from './tokens'
import { Writing } from './writing'

/**
 * Text from a run, with the probability of every token, and a second text that turns off at any of them:
 * `view=generate`, or `view=generate/b` for the second run.
 */
export default function Generate() {
  const lane = chosenRun()
  if (lane === undefined) return null
  return (
    <section class="generate" aria-label="Generate">
      <h2>Generate</h2>
      <RunChoice chosen={lane} />
      <Desk key={lane.id} lane={lane} />
    </section>
  )
}

function Desk({ lane }: { readonly lane: Lane }) {
  const [writings, setWritings] = useState<readonly Writing[]>([])
  const [problem, setProblem] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)
  const stop = useRef<AbortController | null>(null)
  useEffect(() => () => stop.current?.abort(), [])
  const drawing = options.value.draw

  const write = async (at: number, writing: Writing): Promise<void> => {
    stop.current?.abort()
    const controller = new AbortController()
    stop.current = controller
    setBusy(true)
    setProblem(null)
    setWritings((before) => [...before.slice(0, at), writing])
    try {
      await writing.run(lane, controller.signal)
    } catch (error) {
      setProblem((error as Error).message)
    }
    if (stop.current === controller) setBusy(false)
  }

  const fork = (from: Writing, token: number): void => {
    const other = { ...from.drawing, seed: from.drawing.seed + 1 }
    void write(1, new Writing(other, from.tokens.value.slice(0, token)))
  }

  if (lane.facts.value !== null && !lane.facts.value.takesPrompt) {
    return <p>This run’s task is no text, so there is nothing to be written. Choose a run on a language task.</p>
  }
  return (
    <>
      <SamplingForm
        drawing={drawing}
        busy={busy}
        ready={lane.facts.value !== null}
        onChange={(changes) => setOptionsOf('draw', changes)}
        onStart={() => void write(0, new Writing(drawing))}
        onStop={() => stop.current?.abort()}
      />
      {problem !== null && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <div class={`writings of-${writings.length}`}>
        {writings.map((writing, i) => (
          <Written
            key={i}
            title={i === 0 ? 'Text' : 'Fork'}
            writing={writing}
            onFork={i === 0 ? (token) => fork(writing, token) : null}
          />
        ))}
      </div>
    </>
  )
}

interface WrittenProps {
  readonly title: string
  readonly writing: Writing
  readonly onFork: ((token: number) => void) | null
}

function Written({ title, writing, onFork }: WrittenProps) {
  const { drawing, shared } = writing
  const [tokens, reply] = [writing.tokens.value, writing.reply.value]
  return (
    <article aria-label={title}>
      <h3>
        {shared === 0 ? title : `${title} at token ${formatCount(shared + 1)}`}{' '}
        <span class="quiet">seed {drawing.seed}</span>
      </h3>
      <Tokens prompt={drawing.prompt} tokens={tokens} sharedUpTo={shared} onFork={onFork} />
      <p class="quiet note" role="status">
        {reply === null ? 'Writing. Training waits meanwhile.' : inWords(reply)}
      </p>
      <TokenTable tokens={tokens} />
    </article>
  )
}

function inWords({ step, promptTokens, decodeTokensPerSecond, stateBytes }: GenerateReply): string {
  return `Written at step ${formatCount(step)}: ${formatCount(promptTokens)} tokens read, ${formatCount(decodeTokensPerSecond)} tokens a second written, ${formatBytes(stateBytes)} of state at the end.`
}
