import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

/** Runs a command in the project's root with its output shown; ends the process where it fails. */
export function run(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
    shell: process.platform === 'win32',
  })
  if (error) throw error
  if (status !== 0) {
    console.error(`\n${command} ${args.join(' ')} failed with exit code ${status}.`)
    process.exit(status ?? 1)
  }
}

/** Installs what package-lock.json names, unless that has been done since it last changed. */
export function install() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`Node 20.19 or newer is needed, this is ${process.versions.node}.`)
    process.exit(1)
  }
  const stamp = `${root}node_modules/.mneme-lock`
  const lock = readFileSync(`${root}package-lock.json`, 'utf8')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: root, stdio: 'inherit' })
  // a lock file that another npm finds fault with must not keep anybody out
  if (status !== 0) run('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock'])
  writeFileSync(stamp, lock)
}

const candidates = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

function installed() {
  return [process.env.MNEME_CHROMIUM ?? '', ...candidates].find((path) => path !== '' && existsSync(path))
}

/** Path of a Chromium, installed if that is possible here; undefined if there is none to be had. */
export function chromium() {
  const found = installed()
  if (found) return found
  if (process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    console.log('Chromium is missing: installing the package of this system.')
    spawnSync('apt-get', ['update', '-q'], { stdio: 'inherit' })
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    spawnSync('apt-get', ['install', '-yq', '--no-install-recommends', 'chromium'], { stdio: 'inherit', env })
    if (installed()) return installed()
  }
  console.log("Chromium is missing: asking for Playwright's.")
  spawnSync('npx', ['playwright-core', 'install', 'chromium'], { cwd: root, stdio: 'inherit' })
  try {
    const path = execFileSync(
      'node',
      ['-e', "process.stdout.write(require('playwright-core').chromium.executablePath())"],
      {
        cwd: root,
        encoding: 'utf8',
      },
    )
    return existsSync(path) ? path : undefined
  } catch {
    return undefined
  }
}
