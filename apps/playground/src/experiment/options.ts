import { type NumberOption, number, type Option, oneOf, text, whole } from './option'
import { sweeps } from './presets'
import { type LessonKey, sliderName, sliders } from './sliders'

export const axes = ['steps', 'tokens', 'seconds'] as const
export const charts = ['loss', 'accuracy', 'distance'] as const
export const equals = ['none', 'parameters', 'state', 'time'] as const
export const families = ['attention', 'recurrent', 'memory'] as const
export const paperOrders = ['title', 'newest', 'oldest'] as const
/** Columns of the table of runs, by which it can be sorted. */
export const runColumns = [
  'paper',
  'parameters',
  'stateBytes',
  'steps',
  'seconds',
  'speed',
  'trainingLoss',
  'lossNats',
  'tokenAcc',
] as const
const downwards = runColumns.map((column) => `-${column}` as const)
/** Places in lists of maps, heads and tokens, which count from 1; what is not there falls back to what is. */
const places = [1, 9999] as const
const placesOrNone = [0, 9999] as const

/**
 * What the address says besides the experiments: how they are compared and looked at. Each is written by its name here,
 * with that of its group before it, as `draw.topK`.
 */
export const allOptions = {
  chart: oneOf(charts, 'loss'),
  axis: oneOf(axes, 'steps'),
  /** What the runs have in common by the app's doing. */
  equal: oneOf(equals, 'none'),
  /** Seconds of training that each run gets at equal time. */
  seconds: number(60, [1, 86_400]),
  /** How many times the training length is evaluated. */
  times: whole(16, [1, 1000]),
  /** Presets that are run one after another. */
  sweep: oneOf(['', ...sweeps.map(({ key }) => key)], ''),
  runs: {
    /** A column that sorts the table of runs; with a minus before it, the largest comes first. */
    order: oneOf(['', ...runColumns, ...downwards], ''),
  },
  /** How text is drawn. */
  draw: {
    prompt: text('The whale '),
    temperature: number(0.8, [0, 5]),
    topK: whole(0, [0, 100_000]),
    topP: number(1, [0.01, 1]),
    repetitionPenalty: number(1, [0.1, 10]),
    seed: whole(1, [0, Number.MAX_SAFE_INTEGER]),
    tokens: whole(200, [1, 5000]),
  },
  /** What is read and shown in the view `inside`. */
  look: {
    /** Which row of the validation split, from 0 on. */
    row: whole(0, [0, 9999]),
    /** Text to be read instead, where there is some. */
    text: text(''),
    /** The token that is looked at; 0 for the last where something is asked. */
    token: whole(0, placesOrNone),
    map: whole(1, places),
    /** The head of the map that is large. */
    head: whole(1, places),
    /** The tensor of the state; 0 for the first that is a memory. */
    state: whole(0, placesOrNone),
    stateHead: whole(1, places),
    signal: whole(1, places),
  },
  papers: {
    /** What titles, authors and mechanisms are searched for. */
    words: text(''),
    family: oneOf(['', ...families], ''),
    order: oneOf(paperOrders, 'title'),
  },
  /** Where the sliders of the lessons stand. */
  lesson: lessonOptions(),
}

type Table = typeof allOptions
type ValueOf<O> = O extends Option<infer V> ? V : { readonly [K in keyof O]: ValueOf<O[K]> }
export type Options = { readonly [K in keyof Table]: ValueOf<Table[K]> }
/** Names of groups. */
export type OptionGroup = { [K in keyof Table]: Table[K] extends Option<unknown> ? never : K }[keyof Table]

export type Chart = Options['chart']
export type Axis = Options['axis']
export type Equal = Options['equal']
export type RunColumn = (typeof runColumns)[number]
export type Drawing = Options['draw']

function lessonOptions(): Readonly<Record<string, NumberOption>> {
  const entries = Object.entries(sliders).flatMap(([lesson, own]) =>
    own.map((slider) => {
      const limits = [slider.min, slider.max] as const
      const option = slider.step === 1 ? whole(slider.value, limits) : number(slider.value, limits)
      return [sliderName(lesson as LessonKey, slider), option] as const
    }),
  )
  return Object.fromEntries(entries)
}

function isOption(entry: object): entry is Option<string | number> {
  return 'standard' in entry
}

/** Every option by its whole name. */
const byName: ReadonlyMap<string, Option<string | number>> = new Map(
  Object.entries<object>(allOptions).flatMap(([name, entry]): [string, Option<string | number>][] =>
    isOption(entry) ? [[name, entry]] : Object.entries(entry).map(([inner, option]) => [`${name}.${inner}`, option]),
  ),
)

/** Every name that `readOptions` takes. */
export const optionNames: readonly string[] = [...byName.keys()]

/** Options from what gives each its value. */
function optionsOf(value: (name: string, option: Option<string | number>) => string | number): Options {
  const entries = Object.entries<object>(allOptions).map(([name, entry]) => {
    if (isOption(entry)) return [name, value(name, entry)]
    const inner = Object.entries(entry).map(([key, option]) => [key, value(`${name}.${key}`, option)])
    return [name, Object.fromEntries(inner)]
  })
  return Object.fromEntries(entries)
}

export const optionDefaults: Options = optionsOf((_, { standard }) => standard)

/** @throws RangeError that names the option, what was expected and what was found */
export function readOptions(given: ReadonlyMap<string, string>): Options {
  return optionsOf((name, option) => {
    const said = given.get(name)
    return said === undefined ? option.standard : option.read(name, said)
  })
}

/** What differs from the defaults, by name in the address. */
export function changedOptions(options: Options): [name: string, value: string][] {
  return Array.from(byName).flatMap(([name, { standard }]) => {
    const value = valueAt(options, name)
    return value === standard ? [] : [[name, String(value)]]
  })
}

function valueAt(options: Options, name: string): unknown {
  const at = name.indexOf('.')
  if (at < 0) return options[name as keyof Options]
  return (options[name.slice(0, at) as OptionGroup] as Readonly<Record<string, unknown>>)[name.slice(at + 1)]
}
