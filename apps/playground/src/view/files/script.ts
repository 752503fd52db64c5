import type { Experiment } from '@mneme/training'

/** What the script needs, as npm takes it. */
export const scriptPackages = [
  '@mneme/core-tensor',
  '@mneme/kernels-wasm',
  '@mneme/models',
  '@mneme/tasks',
  '@mneme/training',
  '@tensorflow/tfjs-core',
  '@tensorflow/tfjs-backend-wasm',
] as const

/** An experiment as a program for Node 20 that trains it with the published packages. */
export function scriptOf(experiment: Experiment): string {
  return `// npm install ${scriptPackages.join(' ')}
// node train.mjs
import { useWasm } from '@mneme/kernels-wasm'
import { loadPaper } from '@mneme/models'
import { loadTask } from '@mneme/tasks'
import { resolveExperiment, Run, train } from '@mneme/training'

const experiment = ${JSON.stringify(experiment, null, 2)}

await useWasm()
const run = await Run.create(await resolveExperiment(experiment, { loadPaper, loadTask }))
console.log(\`\${experiment.paper} on \${experiment.task}: \${run.model.parameterCount()} parameters\`)
for await (const event of train(run)) {
  if (event.type !== 'evaluation') continue
  const { step, lossNats, tokenAcc } = event
  console.log(\`step \${step}: validation loss \${lossNats.toFixed(4)}, accuracy \${(100 * tokenAcc).toFixed(1)} %\`)
}
run.dispose()
`
}
