// npm run audit: what published packages bring with them, by package-lock.json; then asks the registry for advisories,
// or, with --advisories <folder>, a clone of https://gitlab.com/gitlab-org/security-products/gemnasium-db.git.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../setup.mjs'
import { advisoriesIn, nameOf } from './advisories.mjs'

/** Licences that ask for no more than that they are passed on. */
const licences = new Set([
  '0BSD',
  'Apache-2.0',
  'Apache-2.0 AND MIT',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'MIT OR Apache-2.0',
])

/** Peers that stand in the tests of whoever uses ours, and in nothing that runs. */
const inTests = ['vitest']

/** Packages that run a script when they are installed, and why they may. */
const mayRunScripts = {
  webgpu: 'Dawn for Node, which the WebGPU backend needs there; optional, and the others work without it',
}

/** Faults of a lock file in what the published packages depend on, and what that is. */
export function audited(lock, published) {
  const entries = lock.packages
  const found = new Map()
  const follow = (name, from) => {
    const path = nearest(entries, name, from)
    if (path === undefined || entries[path].link || found.has(path)) return
    found.set(path, entries[path])
    const { dependencies, optionalDependencies, peerDependencies } = entries[path]
    for (const next of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies }))
      follow(next, path)
  }
  for (const folder of published) {
    const { dependencies, optionalDependencies, peerDependencies } = entries[folder]
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
      if (!inTests.includes(name)) follow(name, folder)
    }
  }
  const versions = new Map()
  const faults = []
  for (const [path, entry] of found) {
    const name = nameOf(path)
    const { version, license, deprecated, hasInstallScript, integrity } = entry
    versions.set(name, (versions.get(name) ?? new Set()).add(version))
    const fault = (what) => faults.push(`${name}@${version}: ${what}`)
    if (!licences.has(license)) fault(`expected a licence of ${[...licences].join(', ')}, got ${license ?? 'none'}.`)
    if (deprecated) fault(`deprecated: ${deprecated}`)
    if (hasInstallScript && !Object.hasOwn(mayRunScripts, name))
      fault('expected no script that runs when it is installed.')
    if (!integrity) fault('expected the hash of its tarball in package-lock.json, got none.')
  }
  for (const [name, all] of versions) {
    // two copies of it do not know each other's tensors
    if (name === '@tensorflow/tfjs-core' && all.size > 1) faults.push(`${name}: expected one version, got ${[...all]}.`)
  }
  const twice = [...versions]
    .filter(([, all]) => all.size > 1)
    .map(([name, all]) => `${name} ${[...all].join(' and ')}`)
  return { faults, packages: [...versions.keys()].sort(), twice }
}

/** Where Node finds a package that is asked for at a path. */
function nearest(entries, name, from) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('node_modules/') - 1))) {
    const path = `${at === '' ? '' : `${at}/`}node_modules/${name}`
    if (entries[path]) return path
    if (at === '') return undefined
    if (!at.includes('node_modules/')) at = 'node_modules/'
  }
}

/** What the registry knows, in one line; `faults` where it knows of any. */
function advisories() {
  const args = ['audit', '--omit=dev', '--json', '--fetch-retries=0', '--fetch-timeout=20000']
  const { stdout } = spawnSync('npm', args, { cwd: root, encoding: 'utf8', shell: process.platform === 'win32' })
  try {
    const { message, metadata, vulnerabilities = {} } = JSON.parse(stdout)
    if (!metadata) return { said: `advisories: not known, the registry did not answer (${message}).`, faults: [] }
    const names = Object.keys(vulnerabilities)
    const faults = names.map((name) => `${name}: ${vulnerabilities[name].severity} advisory, see npm audit.`)
    return { said: `advisories: ${names.length} in ${metadata.dependencies.prod} packages.`, faults }
  } catch {
    return { said: 'advisories: not known, npm audit gave no answer.', faults: [] }
  }
}

/** What a clone of an advisory database knows of the whole lock file, in one line. */
function readAdvisories(folder, lock) {
  const { packages, named, newest, faults } = advisoriesIn(folder, lock)
  const said = `advisories: ${named} up to ${newest} name one of ${packages} packages, ${faults.length} of them its version.`
  return { said, faults }
}

if (process.argv[1] === import.meta.filename) {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const { faults, packages, twice } = audited(
    lock,
    readdirSync(join(root, 'packages')).map((name) => `packages/${name}`),
  )
  console.log(`audit: ${packages.length} packages of others beneath what is published, ${faults.length} faults.`)
  if (twice.length > 0) console.log(`In more than one version: ${twice.join(', ')}.`)
  for (const [name, why] of Object.entries(mayRunScripts))
    console.log(`May run a script when installed: ${name}, ${why}.`)
  const at = process.argv.indexOf('--advisories')
  const asked =
    at > 0
      ? readAdvisories(process.argv[at + 1] ?? '', lock)
      : process.argv.includes('--offline')
        ? { said: 'advisories: not asked.', faults: [] }
        : advisories()
  console.log(asked.said)
  for (const fault of [...faults, ...asked.faults]) console.error(fault)
  process.exit(faults.length + asked.faults.length > 0 ? 1 : 0)
}
