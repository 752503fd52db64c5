import { useEffect, useRef, useState } from 'preact/hooks'
import type { Drawing } from '../../experiment/options'
import type { Lane } from '../../lane'
import { lanes, options, setOptions } from '../../page'
import type { DrawnToken, GenerateReply } from '../../worker/answers/generate'
import { formatBytes, formatCount } from '../format'
import { RunChoice } from '../run-choice'
import '../../style/generate.css'
import { SamplingForm } from './sampling-form'
import { Tokens, TokenTable } from './tokens'

/** One continuation of the prompt. */
interface Writing {
  readonly drawing: Drawing
  /** Tokens that it shares with the one that it was forked from. */
  readonly forkedAt: number | null
  readonly tokens: readonly DrawnToken[]
  readonly reply: GenerateReply | null
}

/** Text from a run, with the probability of every token, and a second text that turns off at any of them. */
export default function Generate() {
  const [place, setPlace] = useState(0)
  const lane = lanes.value[place] ?? lanes.value[0]
  if (lane === undefined) return null
  return (
    <section class="generate" aria-label="Generate">
      <h2>Generate</h2>
      <RunChoice lanes={lanes.value} chosen={lane} onChange={(next) => setPlace(lanes.value.indexOf(next))} />
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

  const write = async (at: number, first: Writing): Promise<void> => {
    stop.current?.abort()
    const controller = new AbortController()
    stop.current = controller
    setBusy(true)
    setProblem(null)
    setWritings((before) => [...before.slice(0, at), first])
    const change = (next: (writing: Writing) => Writing): void => {
      if (stop.current === controller) setWritings((all) => all.map((one, i) => (i === at ? next(one) : one)))
    }
    const given = first.tokens.map(({ id }) => id)
    try {
      const reply = await lane.ask(
        'generate',
        { ...first.drawing, given },
        { signal: controller.signal, onPart: (token) => change((one) => ({ ...one, tokens: [...one.tokens, token] })) },
      )
      change((one) => ({ ...one, reply }))
    } catch (error) {
      setProblem((error as Error).message)
    }
    if (stop.current === controller) setBusy(false)
  }

  const start = (): void => void write(0, { drawing, forkedAt: null, tokens: [], reply: null })
  const fork = (from: Writing, token: number): void => {
    const other = { ...from.drawing, seed: from.drawing.seed + 1 }
    void write(1, { drawing: other, forkedAt: token, tokens: from.tokens.slice(0, token), reply: null })
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
        onChange={(draw) => setOptions({ draw })}
        onStart={start}
        onStop={() => stop.current?.abort()}
      />
      {problem !== null && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <div class={`writings of-${writings.length}`}>
        {writings.map((writing, i) => (
          <article key={i} aria-label={i === 0 ? 'Text' : 'Fork'}>
            <h3>
              {i === 0 ? 'Text' : `Fork at token ${formatCount((writing.forkedAt ?? 0) + 1)}`}{' '}
              <span class="quiet">seed {writing.drawing.seed}</span>
            </h3>
            <Tokens
              prompt={writing.drawing.prompt}
              tokens={writing.tokens}
              sharedUpTo={writing.forkedAt ?? 0}
              onFork={i === 0 ? (token) => fork(writing, token) : null}
            />
            <p class="quiet note" role="status">
              {writing.reply === null ? 'Writing. Training waits meanwhile.' : inWords(writing.reply)}
            </p>
            <TokenTable tokens={writing.tokens} />
          </article>
        ))}
      </div>
    </>
  )
}

function inWords({ step, promptTokens, decodeTokensPerSecond, stateBytes }: GenerateReply): string {
  return `Written at step ${formatCount(step)}: ${formatCount(promptTokens)} tokens read, ${formatCount(decodeTokensPerSecond)} tokens a second written, ${formatBytes(stateBytes)} of state at the end.`
}
