import type { Look } from './source'

/** A recording with a value, or several, at every token. */
export interface Signal {
  readonly where: string
  readonly name: string
  readonly explained: string
  readonly width: number
  /** `[T, width]`. */
  readonly values: Float32Array
}

/** What recorded names mean; a logarithm of a factor is shown as the factor. */
const meanings: Readonly<Record<string, { readonly name?: string; readonly words: string; readonly exp?: true }>> = {
  surprise: { words: 'The loss of the memory on the token’s key and value, before it learns them.' },
  decay: { words: 'The share of the state that is kept at the token: 1 keeps all, 0 forgets all.' },
  logDecay: {
    name: 'decay',
    words: 'The share of the state that is kept at the token: 1 keeps all, 0 forgets all.',
    exp: true,
  },
  logForget: { name: 'forget gate', words: 'The share of earlier scores that is kept at the token.', exp: true },
  beta: {
    words: 'How much of the error under the token’s key is corrected: 1 stores the new value, 0 leaves the old.',
  },
  stepSize: { words: 'The learning rate of the memory at the token.' },
  step: { words: 'The time step: large steps write much and forget much.' },
  rate: { words: 'The learning rate in context, channel by channel.' },
  gate: { words: 'How open the gate is: 1 lets all through.' },
  inputGate: { words: 'Before the exponential: large values write much.' },
  forgetGate: { words: 'Before the sigmoid: large values keep much.' },
  receptance: { words: 'How much of what is read passes on.' },
  mixture: { words: 'Shares of the latent slots that the token writes to.' },
  ponder: { words: 'Steps that the token takes, the remainder included.' },
  steps: { words: 'Steps in depth that the token takes.' },
  state: { words: 'The hidden state after the token.' },
  read: { words: 'What is read from memory at the token.' },
  recalled: { words: 'What the memory recalls for the token.' },
}
const order = Object.keys(meanings)

/** Recordings that run along the tokens, put together where they came in pieces; the telling ones first. */
export function signalsOf({ tokens, recordings }: Look): readonly Signal[] {
  const T = tokens.length
  const groups = new Map<string, Look['recordings'][number][]>()
  for (const one of recordings) {
    const key = `${one.path} ${one.name}`
    groups.set(key, [...(groups.get(key) ?? []), one])
  }
  const found = [...groups.values()].flatMap((pieces): Signal[] => {
    const [{ path, name }] = pieces as [Look['recordings'][number]]
    const lengths = pieces.map(({ shape }) => (shape.length > 1 ? (shape[1] as number) : 0))
    const whole = lengths.reduce((a, b) => a + b, 0) === T && pieces.every(({ values }) => values !== null)
    if (!whole) return []
    const values = joined(pieces.map((piece) => piece.values as Float32Array))
    const meaning = meanings[name]
    return [
      {
        where: path === '' ? 'model' : path.replace('layers.', 'layer '),
        name: meaning?.name ?? name,
        explained: meaning?.words ?? 'Recorded by the mixer under this name.',
        width: values.length / T,
        values: meaning?.exp ? values.map(Math.exp) : values,
      },
    ]
  })
  const rank = ({ name }: Signal): number => {
    const at = order.findIndex((key) => (meanings[key]?.name ?? key) === name)
    return at < 0 ? order.length : at
  }
  return found.toSorted((a, b) => rank(a) - rank(b))
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((total, part) => total + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
