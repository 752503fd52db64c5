// npm run faults [kills]: what training does when it is killed, and when the disk is full or read-only. All kills there
// are by default make docs/faults.md.
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { root } from '../setup.mjs'
import { fullAndReadOnly } from './full-disk.mjs'
import { killedAndResumed } from './killed.mjs'

const standard = 50
const kills = Number(process.argv[2] ?? standard)
const started = performance.now()
const { same, leftovers, steps, kills: killed } = await killedAndResumed({ kills, steps: 200 * kills })
const seconds = Math.round((performance.now() - started) / 1000)
const number = new Intl.NumberFormat('en').format
const verdict = same ? 'the same to the bit' : 'another'
const lines = [
  `- Killed outright (SIGKILL) ${killed} times at random moments of ${number(steps)} steps, and resumed each time: the file at the end is ${verdict}. Temporary files that the kills left beside it, which a later write removes when they are a day old: ${leftovers}.`,
]

const disk = await fullAndReadOnly()
const titles = { full: 'On a full disk', readOnly: 'In a folder that has become read-only' }
if (disk === null) lines.push('- Full and read-only disks were not tried, since mounting was not allowed.')
else {
  for (const [key, { told, left }] of Object.entries(disk)) {
    const said = told.replaceAll(/\/\S*mneme-disk-\w+\//g, '')
    lines.push(`- ${titles[key]} the checkpoint of step ${left}, the last good one, is left. The error: "${said}"`)
  }
}
for (const line of lines) console.log(line)
console.log(`${seconds} s`)

const page = `# Faults

Written by \`npm run faults\`, on Node ${process.versions.node}, ${cpus()[0]?.model.trim() ?? 'unknown'}, backend wasm. The run is a minGRU on a novel that
writes a checkpoint at every other step; what is compared is the whole file: parameters, moments, carried state, place in the data.

${lines.join('\n')}

Tests hold the same with three kills, and beside it: a graphics device that is destroyed in the middle of a step, after which
the run goes on to the same weights on a new one (\`lost-device.webgpu.test.ts\`); numbers that stop being finite, which end a
run at their step with the name of the layer (\`run.laws.test.ts\`); and 6,500 files and 1,800 addresses, settings and command
lines, damaged, and 14,000 configurations with one number in the place of another (\`scripts/hostile\`).
`
if (kills === standard) writeFileSync(join(root, 'docs/faults.md'), page)
const kept = disk === null || Object.values(disk).every(({ told, left }) => left === 3 && /could not write/.test(told))
process.exit(same && killed === kills && kept ? 0 : 1)
