import { loadPaper, paperKeys } from '@mneme/models'
import { loadTask, taskKeys } from '@mneme/tasks'
import { experimentDefaults, plainRecipe, trainDefaults } from '@mneme/training'
import katex from 'katex'
import type { Catalogue, PaperEntry, TaskEntry } from '../src/experiment/catalogue'

async function paperEntry(key: string): Promise<PaperEntry> {
  const { card, config, recipe } = await loadPaper(key)
  const { equation, ...words } = card
  // what the task and the experiment decide is no setting of the paper
  const { vocabulary, seed, ...settings } = config
  return {
    ...words,
    equation: lines(equation).map(toMathMl),
    config: settings,
    recipe: { lr: (recipe ?? plainRecipe).lr, weightDecay: (recipe ?? plainRecipe).weightDecay },
  }
}

/** A long equation in lines that fit a narrow column: it is broken where its author left a wide space. */
function lines(equation: string): string[] {
  if (equation.includes('\\begin')) return [equation]
  return equation.split(/,?\s*\\q?quad\s*/).filter((line) => line !== '')
}

function toMathMl(line: string): string {
  return katex.renderToString(line, { output: 'mathml', displayMode: true, throwOnError: false })
}

async function taskEntry(key: string): Promise<TaskEntry> {
  const { title, source, kind, metric, defaults } = await loadTask(key)
  return { key, title, source, kind, metric, config: { ...defaults } }
}

const papers: PaperEntry[] = []
for (const key of paperKeys) papers.push(await paperEntry(key))
const tasks: TaskEntry[] = []
for (const key of taskKeys) tasks.push(await taskEntry(key))

/** Everything that the page knows of papers and tasks, from the registries, made when the app is built. */
export const collected: Catalogue = {
  papers,
  tasks,
  train: { ...trainDefaults },
  first: { paper: experimentDefaults.paper, task: experimentDefaults.task },
}

export default collected
