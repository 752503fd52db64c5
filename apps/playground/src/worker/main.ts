import type { Command, Report, RunReport, StartCommand } from '../protocol'
import { messageOf } from './backend'
import { Training } from './training'
import { fatalTrouble } from './troubles'

let run = 0
let training: Training | null = null
/** What was asked before there was anything to ask it of. */
const early: Command[] = []

function send(report: Report): void {
  const message: RunReport = { ...report, run }
  postMessage(message)
}

async function begin(command: StartCommand, refusal?: string): Promise<void> {
  run = command.run
  try {
    training = await Training.start(command, send, refusal)
    for (const waiting of early.splice(0)) obey(waiting)
    await training.toTheEnd()
    send({ type: 'phase', phase: 'stopped' })
  } catch (error) {
    // a model that the graphics card cannot run fails at its first step: WebAssembly takes over
    if (command.backend === 'auto' && training?.backend === 'webgpu' && training.stepsHere === 0) {
      training = null
      await begin(command, `the graphics card could not run this model: ${messageOf(error)}`)
      return
    }
    send({ type: 'trouble', trouble: fatalTrouble(error) })
    send({ type: 'phase', phase: 'failed' })
  }
}

function obey(command: Command): void {
  if (command.type === 'start') begin(command)
  else if (training === null) early.push(command)
  else if (command.type === 'ask') training.ask(command)
  else if (command.type === 'allow') training.allow(command.allowance)
  else if (command.type === 'cancel') training.cancel(command.id)
  else training.control(command.type)
}

addEventListener('message', ({ data }: MessageEvent<Command>) => obey(data))
