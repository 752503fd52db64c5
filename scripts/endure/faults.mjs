// npm run faults [kills]: what training does when it is killed, and when the disk is full or read-only.
import { fullAndReadOnly } from './full-disk.mjs'
import { killedAndResumed } from './killed.mjs'

const kills = Number(process.argv[2] ?? 50)
const started = performance.now()
const { same, leftovers, steps, kills: killed } = await killedAndResumed({ kills, steps: 200 * kills })
const seconds = Math.round((performance.now() - started) / 1000)
const enough = same && killed === kills
console.log(
  `killed ${killed} times in ${steps} steps and resumed (${seconds} s): the last file is ${same ? 'the same to the bit' : 'ANOTHER'}; ${leftovers} temporary files left by kills`,
)

const disk = await fullAndReadOnly()
if (disk === null) console.log('full and read-only disks: not tried, since mounting is not allowed here.')
else {
  for (const [title, { told, left }] of Object.entries(disk))
    console.log(`${title}: step ${left} is left; told: ${told}`)
}
const kept = disk === null || Object.values(disk).every(({ told, left }) => left === 3 && /could not write/.test(told))
process.exit(enough && kept ? 0 : 1)
