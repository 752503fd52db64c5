import { SafetensorsError } from '@mneme/core-tensor/io/safetensors'
import { UsageError } from './settings.js'
import { exitCodes } from './train-command.js'

/** What is printed of an error, and what the command ends with. */
export interface Report {
  readonly text: string
  readonly code: number
}

/** Mistakes of the caller, and what the system refuses, are told in a sentence; anything else keeps its stack. */
export function report(error: unknown): Report {
  if (!(error instanceof Error)) return { text: String(error), code: 1 }
  const callers = [UsageError, RangeError, TypeError, SafetensorsError]
  if (callers.some((kind) => error instanceof kind)) return { text: error.message, code: exitCodes.usage }
  // a full disk, a folder that may not be written to: Node says which call on which path
  const refused = [error, error.cause].some((cause) => cause instanceof Error && 'syscall' in cause)
  return { text: refused ? error.message : (error.stack ?? error.message), code: 1 }
}
