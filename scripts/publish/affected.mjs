// npm run affected [file]: which cached tasks a change of that file undoes, by default a mixer; the others are not run again.
// In a copy of what git has, so that nothing here is touched.
import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../setup.mjs'

const tasks = ['build', 'types', 'types:scripts', 'lint', 'laws', 'sizes:check', 'pack']

function hashes(folder) {
  const args = ['turbo', 'run', ...tasks, '--dry=json', '--skip-infer', `--cwd=${folder}`]
  const said = execFileSync('npx', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  const found = JSON.parse(said.slice(said.indexOf('{'))).tasks.filter(({ command }) => command !== '<NONEXISTENT>')
  return new Map(found.map(({ taskId, hash }) => [taskId, hash]))
}

/** Ids of the tasks that a change of `file` calls for again, and of those that it leaves alone. */
export function affectedBy(file) {
  const folder = join(mkdtempSync(join(tmpdir(), 'mneme-affected-')), 'copy')
  try {
    execFileSync('git', ['checkout-index', '--all', `--prefix=${folder}/`], { cwd: root })
    const before = hashes(folder)
    appendFileSync(join(folder, file), '\n')
    const after = hashes(folder)
    const again = [...after.keys()].filter((id) => after.get(id) !== before.get(id)).sort()
    return { again, kept: [...after.keys()].filter((id) => after.get(id) === before.get(id)).sort() }
  } finally {
    rmSync(join(folder, '..'), { recursive: true, force: true })
  }
}

if (process.argv[1] === import.meta.filename) {
  const file = process.argv[2] ?? 'packages/recurrent/src/mamba.ts'
  const { again, kept } = affectedBy(file)
  console.log(`A change of ${file} calls for ${again.length} of ${again.length + kept.length} tasks again:`)
  for (const id of again) console.log(`  ${id}`)
  console.log('and leaves alone:')
  for (const id of kept) console.log(`  ${id}`)
}
