import type { TokenModel } from './language-model.js'
import type { Module } from './module.js'
import type { OpCost } from './op.js'

export type PaperKind =
  | 'language model'
  | 'sequence model'
  | 'encoder'
  | 'agent'
  | 'vision'
  | 'audio'
  | 'method'
  | 'task'
  | 'tool'

/** What a paper is, in words and figures: the source of its row, page and playground entry. */
export interface Card {
  readonly key: string
  readonly title: string
  readonly authors: string
  readonly year: number
  readonly arxiv: string
  readonly kind: PaperKind
  readonly family: 'attention' | 'recurrent' | 'memory'
  /** KaTeX. */
  readonly equation: string
  /** What is remembered, and its size. */
  readonly state: string
  /** Time for one token, in axis letters. */
  readonly cost: string
  /** Where this implementation departs from the paper, and why; empty where it does not. */
  readonly differs: readonly string[]
  /** The smallest honest experiment that shows what the paper claims, against a named baseline. */
  readonly claim: string
}

/** How one stored tensor becomes a parameter, and back. */
export interface NameRule {
  /** Path in the module, with `{i}` for indices: `body.layers.{i}.mixer.qProj.weight`. */
  readonly path: string
  /** Name in the file, with the same placeholders. */
  readonly name: string
  /** Other names that a file may have it under, where it does not have that one. */
  readonly aliases?: readonly string[]
  /** Axes of one that only the file has: 1 for `[C, W]` in the module and `[C, 1, W]` in the file. */
  readonly squeeze?: number | readonly number[]
  /** Stored `[in, out]`: transposed on load and back on save. */
  readonly transpose?: boolean
  /** Where the file keeps several parameters in one tensor: this one's rows, from and up to, of so many in all. */
  readonly rows?: readonly [from: number, to: number, of: number]
  /** Where the file stacks several parameters along a first axis of its own: this one's place, of so many. */
  readonly stack?: readonly [index: number, of: number]
}

/** The published layout of a paper's checkpoints. */
export interface CheckpointLayout<C> {
  /** `model_type` of config.json, or the reference's name where there is none. */
  readonly modelTypes: readonly string[]
  /** Where the classes among them stand, `owner/name`, if not where `tiny` is published. */
  readonly repositories?: readonly string[]
  /** Whether a configuration has a published form; all have where this is absent. */
  covers?(config: C): boolean
  /** From the published config to ours; unknown keys are kept aside by the loader. */
  config(published: Readonly<Record<string, unknown>>): C
  /** And back. */
  publish(config: C): Readonly<Record<string, unknown>>
  /** How every stored tensor becomes a parameter, for one configuration. */
  names(config: C): readonly NameRule[]
  /** Stored tensors that hold nothing of their own: computed buffers of old files. */
  readonly ignore?: readonly RegExp[]
  /** The front of most names, which some files leave out. */
  readonly prefix?: string
}

/** Shared by every model configuration: what the task decides. */
export interface BaseConfig {
  readonly vocabulary: number
  readonly seed: number
}

/** Optimiser settings that belong to the architecture. */
export interface Recipe {
  readonly lr: number
  readonly weightDecay: number
  /** Parameters whose path matches take other settings; the first match wins. */
  readonly groups?: readonly { readonly match: RegExp; readonly lrScale?: number; readonly weightDecay?: number }[]
}

export interface Paper<C extends BaseConfig = BaseConfig, M extends TokenModel = TokenModel> {
  readonly card: Card
  /** Full defaults, in the paper's symbols. */
  readonly config: C
  /** Small enough for the laws. */
  readonly tiny: C
  /** The model with weights drawn by the seed of its configuration. */
  build(config: C): M
  readonly recipe?: Recipe
  readonly checkpoint?: CheckpointLayout<C>
  /** Forward of one token, in arithmetic and traffic, for the tables. */
  cost?(config: C): OpCost
}

/** Total bytes of a module's parameters, as float32. */
export function parameterBytes(module: Module): number {
  return 4 * module.parameterCount()
}
