import { writeCheckpoint } from '@mneme/core-tensor/io/sharded'
import { memoryStore } from '@mneme/core-tensor/io/store'
import { savePretrained } from '@mneme/models/pretrained'
import { experimentFile } from '../checkpoint/opened'
import type { Answer } from './answer'

export interface ExportReply {
  /** `published` where PyTorch's libraries read it; `own` where the paper has no such layout. */
  readonly layout: 'published' | 'own'
  readonly step: number
  readonly files: readonly { readonly name: string; readonly bytes: Uint8Array<ArrayBuffer> }[]
}

/** The model as files: in its authors' layout where they publish one, with the experiment beside it. */
export const answer: Answer<null, ExportReply> = async ({ run }) => {
  const { model, setup, step } = run
  const { paper, config, experiment } = setup
  const store = memoryStore()
  const published = paper.checkpoint !== undefined && (paper.checkpoint.covers?.(config) ?? true)
  if (published) await savePretrained(store, { model, paper, config })
  else {
    const tensors = Object.entries(await model.stateDict())
    await writeCheckpoint(store, new Map(tensors.map(([name, tensor]) => [name, { dtype: 'F32' as const, ...tensor }])))
  }
  await store.write(experimentFile, new TextEncoder().encode(`${JSON.stringify(experiment, null, 2)}\n`))
  const files = await Promise.all(
    (await store.list()).map(async (name) => {
      const bytes = await store.read(name)
      return { name, bytes: new Uint8Array(bytes ?? []) }
    }),
  )
  return { layout: published ? 'published' : 'own', step, files }
}
