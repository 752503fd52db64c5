#!/usr/bin/env node
import { SafetensorsError } from '@mneme/core-tensor/io/safetensors'
import { program } from './main.js'
import { UsageError } from './settings.js'
import { exitCodes } from './train-command.js'

/** Mistakes of the caller are told in a sentence; anything else keeps its stack. */
function report(error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`${error.message}\n`)
    return exitCodes.usage
  }
  if (error instanceof RangeError || error instanceof TypeError || error instanceof SafetensorsError) {
    process.stderr.write(`${error.message}\n`)
    return exitCodes.usage
  }
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  return 1
}

let code = 0
try {
  await program((result) => {
    code = result
  }).parseAsync()
} catch (error) {
  if ((error as { code?: string }).code?.startsWith('commander.') !== true) code = report(error)
}
process.exit(code)
