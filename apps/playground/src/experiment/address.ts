import { unknownName, withDefaults } from '@mneme/core-tensor/config'
import { withinLimits } from '@mneme/core-tensor/config-limits'
import type { Experiment } from '@mneme/training'
import type { BackendChoice } from '../protocol'
import { findView, type ViewPlace, views } from '../views'
import { catalogue, findPaper, findTask, type Settings } from './catalogue'
import { changedOptions, type Options, optionDefaults, optionNames, readOptions } from './options'
import { quickExperiment, quickTraining } from './starting-point'

/** What an address says: what is shown, one to four experiments, how they are compared, and a backend if one is forced. */
export interface Setup {
  readonly experiments: readonly [Experiment, ...Experiment[]]
  readonly backend: BackendChoice
  readonly view: ViewPlace
  readonly options: Options
}

/** The places of the runs on the page. */
export const slots = ['a', 'b', 'c', 'd'] as const
export type Slot = (typeof slots)[number]

const backends: readonly BackendChoice[] = ['auto', 'webgpu', 'wasm', 'cpu']
/** Before every name of an experiment but the first. */
const prefixes = ['', 'b.', 'c.', 'd.'] as const
const groups = { config: 'config', task: 'taskConfig', train: 'train' } as const
type Group = keyof typeof groups

const firstView: ViewPlace = { key: 'train', detail: '' }

export const defaultSetup = (): Setup => ({
  experiments: [quickExperiment()],
  backend: 'auto',
  view: firstView,
  options: optionDefaults,
})

/**
 * `paper=min-rnn&config.dModel=64&task=novel&train.lr=0.003&seed=0`, for the part of an address after `#`. A group
 * without any changes is written empty (`config=`): left out, it would mean the settings for a quick start.
 */
export function writeAddress({ experiments, backend, view, options }: Setup): string {
  const shown =
    view.key === firstView.key ? [] : [`view=${encode(view.detail === '' ? view.key : `${view.key}/${view.detail}`)}`]
  const parts = experiments.flatMap((experiment, i) => writeExperiment(experiment, prefixes[i] ?? ''))
  if (backend !== 'auto') parts.push(`backend=${backend}`)
  for (const [name, value] of changedOptions(options)) parts.push(`${name}=${encode(value)}`)
  return [...shown, ...parts].join('&')
}

function writeExperiment({ paper, config, task, taskConfig, train, seed }: Experiment, prefix: string): string[] {
  return [
    `${prefix}paper=${encode(paper)}`,
    ...writeGroup(`${prefix}config`, config),
    `${prefix}task=${encode(task)}`,
    ...writeGroup(`${prefix}task`, taskConfig),
    ...writeGroup(`${prefix}train`, { ...train }),
    `${prefix}seed=${seed}`,
  ]
}

function writeGroup(name: string, settings: Settings): string[] {
  const entries = Object.entries(settings)
  if (entries.length === 0) return name.endsWith('task') ? [] : [`${name}=`]
  return entries.map(([key, value]) => `${name}.${key}=${encode(plainText(value))}`)
}

/** Strings are written bare where that cannot be read as something else. */
function plainText(value: unknown): string {
  return typeof value === 'string' && readValue(value) === value ? value : JSON.stringify(value)
}

function readValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Escapes only what would break an address or could be cut off when it is pasted. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/%(2C|3A|2F|5B|5D|7B|7D)/g, decodeURIComponent)
}

/**
 * Reads what `writeAddress` wrote, or a person typed.
 *
 * @throws RangeError or TypeError that says which part is wrong, what was expected, and what was found
 */
export function readAddress(hash: string): Setup {
  const text = hash.replace(/^#/, '')
  if (text === '') return defaultSetup()
  const given = prefixes.map((): Map<string, string> => new Map())
  const options = new Map<string, string>()
  let backend: BackendChoice = 'auto'
  let view = firstView
  for (const part of text.split('&').filter((p) => p !== '')) {
    const [name, value] = split(part)
    const at = prefixes.findIndex((prefix, i) => i > 0 && name.startsWith(prefix))
    if (name === 'backend') backend = readBackend(value)
    else if (name === 'view') view = readView(value)
    else if (optionNames.includes(name)) options.set(name, value)
    else if (at > 0) given[at]?.set(name.slice(2), value)
    else given[0]?.set(name, value)
  }
  const [first, ...others] = given as [Map<string, string>, ...Map<string, string>[]]
  const experiments = others.flatMap((parts, i) => (parts.size === 0 ? [] : [readExperiment(parts, prefixes[i + 1])]))
  return { backend, view, options: readOptions(options), experiments: [readExperiment(first, ''), ...experiments] }
}

function split(part: string): [name: string, value: string] {
  const at = part.indexOf('=')
  if (at < 1) throw new RangeError(`address: expected name=value, got '${part}'. Separate parts with &.`)
  try {
    return [part.slice(0, at), decodeURIComponent(part.slice(at + 1))]
  } catch {
    throw new RangeError(`address: '${part}' is cut off or wrongly escaped. Copy the whole address again.`)
  }
}

function readBackend(value: string): BackendChoice {
  const found = backends.find((name) => name === value)
  if (found === undefined) throw new RangeError(unknownName('address', 'backend', value, backends))
  return found
}

function readView(value: string): ViewPlace {
  const at = value.indexOf('/')
  const place = at < 0 ? { key: value, detail: '' } : { key: value.slice(0, at), detail: value.slice(at + 1) }
  if (findView(place.key) !== undefined) return place
  throw new RangeError(
    unknownName(
      'address',
      'view',
      place.key,
      views.map(({ key }) => key),
    ),
  )
}

function readExperiment(parts: ReadonlyMap<string, string>, prefix = ''): Experiment {
  const given: Record<Group, Record<string, unknown> | null> = { config: null, task: null, train: null }
  const names = ['paper', 'task', 'seed', 'config', 'train']
  for (const [name, value] of parts) {
    const [group, key] = cut(name)
    if (key !== null && Object.hasOwn(given, group)) {
      given[group as Group] = { ...given[group as Group], [key]: readValue(value) }
    } else if ((name === 'config' || name === 'train') && value === '') given[name] ??= {}
    else if (!['paper', 'task', 'seed'].includes(name)) {
      throw new RangeError(
        unknownName('address', 'part', prefix + name, [
          ...names.map((n) => prefix + n),
          'backend',
          'view',
          ...optionNames,
        ]),
      )
    }
  }
  const task = parts.get('task') ?? catalogue.first.task
  const paper = parts.get('paper') ?? catalogue.first.paper
  const seed = parts.get('seed') ?? '0'
  return checkExperiment({
    paper,
    task,
    seed: seed.trim() === '' ? Number.NaN : Number(seed),
    config: given.config ?? {},
    taskConfig: given.task ?? {},
    train: given.train ?? quickTraining(task),
  })
}

function cut(name: string): [group: string, key: string | null] {
  const at = name.indexOf('.')
  return at < 0 ? [name, null] : [name.slice(0, at), name.slice(at + 1)]
}

/** Everything that can be checked before the model is built. */
export function checkExperiment(experiment: Experiment): Experiment {
  const { papers, tasks, train } = catalogue
  const paper = findPaper(experiment.paper)
  if (paper === undefined) throw new RangeError(unknownName('paper', 'paper', experiment.paper, keysOf(papers)))
  const task = findTask(experiment.task)
  if (task === undefined) throw new RangeError(unknownName('task', 'task', experiment.task, keysOf(tasks)))
  if (!Number.isSafeInteger(experiment.seed)) {
    throw new RangeError(`seed: expected a whole number, got ${experiment.seed}.`)
  }
  withinLimits('config', paper.config, experiment.config)
  withinLimits('task', task.config, experiment.taskConfig)
  withDefaults('train', train, experiment.train)
  return experiment
}

function keysOf(entries: readonly { readonly key: string }[]): string[] {
  return entries.map(({ key }) => key)
}
