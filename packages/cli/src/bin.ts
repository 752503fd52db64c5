#!/usr/bin/env node
import { program } from './main.js'
import { report } from './report.js'

let code = 0
try {
  await program((result) => {
    code = result
  }).parseAsync()
} catch (error) {
  if ((error as { code?: string }).code?.startsWith('commander.') !== true) {
    const told = report(error)
    process.stderr.write(`${told.text}\n`)
    code = told.code
  }
}
process.exit(code)
