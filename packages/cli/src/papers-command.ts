import { loadPaper, paperKeys } from '@mneme/models'
import { loadTask, taskKeys } from '@mneme/tasks'

/** `mneme papers`: what can be trained, and on what. */
export async function papersCommand({ json }: { readonly json: boolean }): Promise<number> {
  const cards = await Promise.all(paperKeys.map(async (key) => (await loadPaper(key)).card))
  const tasks = await Promise.all(taskKeys.map((key) => loadTask(key)))
  if (json) {
    process.stdout.write(
      `${JSON.stringify({ papers: cards, tasks: tasks.map(({ key, title, source }) => ({ key, title, source })) })}\n`,
    )
    return 0
  }
  const width = Math.max(...[...paperKeys, ...taskKeys].map((key) => key.length)) + 2
  process.stdout.write('Papers\n')
  for (const card of cards) {
    process.stdout.write(`  ${card.key.padEnd(width)}${card.title} (${card.year}, arXiv:${card.arxiv})\n`)
    process.stdout.write(`  ${''.padEnd(width)}state: ${card.state}; cost a token: ${card.cost}\n`)
  }
  process.stdout.write('Tasks\n')
  for (const task of tasks) process.stdout.write(`  ${task.key.padEnd(width)}${task.title}\n`)
  return 0
}
