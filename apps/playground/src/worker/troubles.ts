import { NonFiniteError } from '@mneme/training'
import type { Trouble } from '../protocol'
import { messageOf } from './backend'

/** An error that ended a run, in words, with what can be done. */
export function fatalTrouble(error: unknown): Trouble {
  const message = messageOf(error)
  if (error instanceof NonFiniteError) {
    return {
      fatal: true,
      message: `Training stopped: ${message}`,
      remedy: 'The run is kept as it was before this step. Lower the learning rate and start the new experiment.',
    }
  }
  if (error instanceof Error && error.name === 'DeviceLostError') {
    return {
      fatal: true,
      message: `The graphics card went away: ${message}`,
      remedy: 'Continue from the last checkpoint. If it happens again, add backend=wasm to the address.',
    }
  }
  if (error instanceof RangeError || error instanceof TypeError) {
    return { fatal: true, message, remedy: 'Correct the setting and start again.' }
  }
  return {
    fatal: true,
    message: `The run ended: ${message}`,
    remedy: 'Continue from the last checkpoint, or reload the page.',
  }
}

export function savingTrouble(error: unknown): Trouble {
  return {
    fatal: false,
    message: `This run could not be kept: ${messageOf(error)}`,
    remedy: 'Training goes on. Free some space for this site; saving is tried again every ten seconds.',
  }
}
