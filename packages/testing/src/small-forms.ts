import type { BaseConfig, Paper } from '@mneme/core-tensor'

/** What the file of a paper exports: beside the paper, small configurations that its `tiny` one does not reach. */
interface PaperFile {
  readonly default: Paper
  readonly moreTiny?: Readonly<Record<string, BaseConfig>>
}

export interface SmallForm {
  readonly name: string
  readonly paper: Paper
}

/** Papers at all their small configurations: `key` for the first, `key: form` for the others. */
export async function smallForms(
  keys: readonly string[],
  load: (key: string) => Promise<unknown>,
): Promise<SmallForm[]> {
  const files = (await Promise.all(keys.map(load))) as PaperFile[]
  return files.flatMap(({ default: paper, moreTiny = {} }) => [
    { name: paper.card.key, paper },
    ...Object.entries(moreTiny).map(([form, tiny]) => {
      const name = `${paper.card.key}: ${form}`
      return { name, paper: { ...paper, card: { ...paper.card, key: name }, tiny } as Paper }
    }),
  ])
}
