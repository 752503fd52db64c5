import { unknownName } from '@mneme/core-tensor/config'

export const axes = ['steps', 'tokens', 'seconds'] as const
export const charts = ['loss', 'accuracy', 'distance'] as const
export const equals = ['none', 'parameters', 'state', 'time'] as const
export type Chart = (typeof charts)[number]
export type Axis = (typeof axes)[number]
/** What the runs have in common by the app's doing. */
export type Equal = (typeof equals)[number]

/** How text is drawn in the view `generate`. */
export interface Drawing {
  readonly prompt: string
  readonly temperature: number
  readonly topK: number
  readonly topP: number
  readonly repetitionPenalty: number
  readonly seed: number
  readonly tokens: number
}

/** What is read in the view `inside`. */
export interface Looking {
  /** Which row of the validation split. */
  readonly row: number
  /** Text to be read instead, where there is some. */
  readonly text: string
}

/** What the address says besides the experiments: how they are compared and looked at. */
export interface Options {
  readonly chart: Chart
  readonly axis: Axis
  readonly equal: Equal
  /** Seconds of training that each run gets at equal time. */
  readonly seconds: number
  /** How many times the training length is evaluated. */
  readonly times: number
  /** Presets that are run one after another. */
  readonly sweep: string
  readonly draw: Drawing
  readonly look: Looking
}

export const optionDefaults: Options = {
  chart: 'loss',
  axis: 'steps',
  equal: 'none',
  seconds: 60,
  times: 16,
  sweep: '',
  draw: {
    prompt: 'The whale ',
    temperature: 0.8,
    topK: 0,
    topP: 1,
    repetitionPenalty: 1,
    seed: 1,
    tokens: 200,
  },
  look: { row: 0, text: '' },
}

/** Names in the address, with the least and the most that a number may be. */
const limits: Readonly<Record<string, readonly [number, number]>> = {
  seconds: [1, 86_400],
  times: [1, 1000],
  'draw.temperature': [0, 5],
  'draw.topK': [0, 100_000],
  'draw.topP': [0.01, 1],
  'draw.repetitionPenalty': [0.1, 10],
  'draw.seed': [0, Number.MAX_SAFE_INTEGER],
  'draw.tokens': [1, 5000],
  'look.row': [0, 9999],
}
const choices: Readonly<Record<string, readonly string[]>> = { chart: charts, axis: axes, equal: equals }

function flat({ draw, look, ...rest }: Options): Record<string, string | number> {
  const named = (group: string, values: object) =>
    Object.fromEntries(Object.entries(values).map(([key, value]) => [`${group}.${key}`, value]))
  return { ...rest, ...named('draw', draw), ...named('look', look) }
}

const standard = flat(optionDefaults)

/** Every name that `readOptions` takes. */
export const optionNames: readonly string[] = Object.keys(standard)

/** What differs from the defaults, by name in the address. */
export function changedOptions(options: Options): [name: string, value: string][] {
  return Object.entries(flat(options)).flatMap(([name, value]) =>
    value === standard[name] ? [] : [[name, String(value)]],
  )
}

/** @throws RangeError that names the option, what was expected and what was found */
export function readOptions(given: ReadonlyMap<string, string>): Options {
  const values: Record<string, string | number> = { ...standard }
  for (const [name, text] of given) values[name] = readOption(name, text)
  const of = <T>(name: string): T => values[name] as T
  return {
    chart: of('chart'),
    axis: of('axis'),
    equal: of('equal'),
    seconds: of('seconds'),
    times: of('times'),
    sweep: of('sweep'),
    draw: {
      prompt: of('draw.prompt'),
      temperature: of('draw.temperature'),
      topK: of('draw.topK'),
      topP: of('draw.topP'),
      repetitionPenalty: of('draw.repetitionPenalty'),
      seed: of('draw.seed'),
      tokens: of('draw.tokens'),
    },
    look: { row: of('look.row'), text: of('look.text') },
  }
}

function readOption(name: string, text: string): string | number {
  const known = choices[name]
  if (known !== undefined && !known.includes(text)) throw new RangeError(unknownName('address', name, text, known))
  if (typeof standard[name] === 'string') return text
  const [least, most] = limits[name] ?? [0, Number.MAX_SAFE_INTEGER]
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value >= least && value <= most) return value
  throw new RangeError(`address: expected ${name} between ${least} and ${most}, got '${text}'.`)
}
