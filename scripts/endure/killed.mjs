import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Rng } from '@mneme/core-tensor'
import { root } from '../setup.mjs'

const bin = join(root, 'packages/cli/dist/bin.js')
const file = 'run.safetensors'

/** Runs `mneme train`; killed outright `ms` after its first step, if it has not ended by then. Whether it was killed. */
function life(args, ms) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bin, 'train', ...args, '--json', '--device', 'wasm'], { cwd: root })
    let said = ''
    let started = false
    child.stderr.on('data', (text) => {
      said += text
    })
    child.stdout.on('data', () => {
      if (started || ms === undefined) return
      started = true
      setTimeout(() => child.kill('SIGKILL'), ms)
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (signal === 'SIGKILL') resolve(true)
      else if (code === 0) resolve(false)
      else reject(new Error(`mneme train: expected exit code 0, got ${code}. ${said}`))
    })
  })
}

const digest = (folder) =>
  createHash('sha256')
    .update(readFileSync(join(folder, file)))
    .digest('hex')

/**
 * Trains once undisturbed and once killed `kills` times at random moments and resumed, and compares the files of both at
 * the end: parameters, moments, carried state and place in the data.
 *
 * @returns `{ same, kills, steps, leftovers }`, where leftovers are temporary files that a kill has left behind
 */
export async function killedAndResumed({ kills, steps, seed = 1 }) {
  const place = mkdtempSync(join(tmpdir(), 'mneme-killed-'))
  const [whole, torn] = [join(place, 'whole'), join(place, 'torn')]
  const experiment = ['-p', 'min-rnn', '-t', 'novel', '-c', 'dModel=8', '-c', 'nLayers=1', '--seed', '7']
  const train = [
    '--steps',
    String(steps),
    '--batch',
    '2',
    '--length',
    '16',
    '--train',
    'evalEvery=0',
    '--train',
    'checkpointEvery=2',
  ]
  try {
    await life([...experiment, ...train, '-o', whole])
    const rng = new Rng(seed)
    let killed = 0
    for (let ended = false; !ended; ) {
      const resume = existsSync(join(torn, file)) ? ['--resume', torn] : [...experiment, ...train, '-o', torn]
      const wasKilled = await life(resume, killed < kills ? 1 + Math.floor(rng.uniform() * 120) : undefined)
      if (wasKilled) killed++
      ended = !wasKilled
    }
    const leftovers = readdirSync(torn).filter((name) => name.endsWith('.tmp')).length
    return { same: digest(whole) === digest(torn), kills: killed, steps, leftovers }
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}
